//! Leases on immutable tags in the engine, so that no other replica pushes them meanwhile.
//!
//! A lease ends by itself if its holder is killed. An engine that has started anew may have
//! forgotten leases, so it gives out none until every replica has had time to renew its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use redis::{Script, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::engine::{Away, Engine};
use crate::metrics::Asked;

/// How long a lease lasts that nobody renews.
const LASTS: Duration = Duration::from_secs(30);
/// Well within [`GRACE`], in case the engine forgets a lease. Most are given back sooner.
const RENEW_EVERY: Duration = Duration::from_millis(250);
/// How soon a failed renewal is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an engine that has started anew gives out no leases. Replicas connect again and renew
/// theirs within this time.
const GRACE: Duration = Duration::from_millis(800);

const TAKEN: u8 = 0;
const HELD: u8 = 1;
const FORGOTTEN: u8 = 3;

/// Notes when the process of the engine that answers was first seen, which its id tells apart.
static ARRIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[1])
         local start = ARGV[1] .. ' '
         if not known or string.sub(known, 1, #start) ~= start then
           local now = redis.call('TIME')
           redis.call('SET', KEYS[1], start .. string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)))
         end
         return 0",
    )
});

/// Takes a lease: 0 if that worked, 1 if another has it, 2 if the engine is new, 3 if it has
/// forgotten everything.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[2])
         if not known then return 3 end
         local now = redis.call('TIME')
         local age = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(known, '(%d+)$'))
         if age >= 0 and age < tonumber(ARGV[3]) then return 2 end
         if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
         return 1",
    )
});

/// Renews a lease, also one that the engine has forgotten: 1 if another has it.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local holder = redis.call('GET', KEYS[1])
         if holder and holder ~= ARGV[1] then return 1 end
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         return 0",
    )
});

/// Why there is no lease.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotLeased {
    /// Another replica has it.
    Held,
    /// The engine cannot be asked now.
    Away,
}

impl From<Away> for NotLeased {
    fn from(_: Away) -> Self {
        Self::Away
    }
}

/// The leases of this process.
pub(super) struct TagLeases {
    engine: Engine,
    /// The key with the time at which the engine was first seen.
    seen: String,
    /// The connection over which all leases were renewed.
    renewed: AtomicU64,
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Default)]
struct Known {
    /// Leases by the name of their key, each with the value that only its holder knows.
    held: HashMap<String, String>,
    /// Those that ended, with the time. The engine has to forget them.
    ended: Vec<(String, String, Instant)>,
}

impl TagLeases {
    pub(super) fn new(engine: &Engine) -> Self {
        let engine = engine.asking(Asked::TagLocks);
        Self {
            seen: engine.key(&["seen"]),
            engine,
            renewed: AtomicU64::new(0),
            known: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Takes the lease on a tag.
    pub(super) async fn take(self: &Arc<Self>, repository: &str, tag: &str) -> Result<TagLease, NotLeased> {
        let connection = self.renewed.load(Ordering::Relaxed);
        if connection != *self.engine.connections().borrow() {
            return Err(NotLeased::Away);
        }
        let mut holder = [0; 16];
        rand::fill(&mut holder).map_err(|_| NotLeased::Away)?;
        let (key, holder) = (self.engine.key(&["tag", repository, tag]), HEXLOWER.encode(&holder));
        // From here on it is given back, even if the answer is late.
        let lease = TagLease { leases: self.clone(), key, holder };
        let arguments = [&*lease.holder, &milliseconds(LASTS), &milliseconds(GRACE)];
        match self.engine.run(&TAKE, &[&lease.key, &self.seen], &arguments).await? {
            TAKEN => self.known().held.insert(lease.key.clone(), lease.holder.clone()),
            HELD => return Err(NotLeased::Held),
            FORGOTTEN => {
                self.renewed.store(0, Ordering::Relaxed);
                self.changed.notify_one();
                return Err(NotLeased::Away);
            }
            _new => return Err(NotLeased::Away),
        };
        // An engine behind another connection may have forgotten it.
        let is_same = connection == *self.engine.connections().borrow();
        if is_same { Ok(lease) } else { Err(NotLeased::Away) }
    }

    /// Renews leases, and gives back those that ended, for ever. Runs on the main thread.
    pub(super) async fn keep(&self) -> Infallible {
        let mut connections = self.engine.connections();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                Ok(()) = connections.changed() => due = Instant::now(),
                () = self.changed.notified() => {}
            }
            self.give_back().await;
            let now = Instant::now();
            if due <= now || !self.is_renewed() {
                let renewed = self.renew().await;
                due = now + if renewed.is_ok() { RENEW_EVERY } else { AGAIN };
            }
        }
    }

    fn is_renewed(&self) -> bool {
        self.renewed.load(Ordering::Relaxed) == *self.engine.connections().borrow()
    }

    async fn renew(&self) -> Result<(), Away> {
        let connection = *self.engine.connections().borrow();
        if connection == 0 {
            return Err(Away);
        }
        if !self.is_renewed() {
            // Where that is not permitted, only an engine that is empty is known to be new.
            let facts = self.engine.query::<String>(cmd("INFO").arg("server")).await.unwrap_or_default();
            let id = facts.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or("any");
            self.engine.run::<u8>(&ARRIVE, &[&self.seen], &[id.trim()]).await?;
        }
        let held: Vec<_> =
            self.known().held.iter().map(|(key, holder)| (key.clone(), holder.clone())).collect();
        for (key, holder) in held {
            let answer: u8 = self.engine.run(&RENEW, &[&key], &[&*holder, &milliseconds(LASTS)]).await?;
            if answer == HELD && self.known().held.remove(&key).is_some() {
                tracing::warn!(key, "another replica pushes this immutable tag at the same time");
            }
        }
        self.renewed.store(connection, Ordering::Relaxed);
        Ok(())
    }

    /// Has the engine forget the leases that ended. What it does not hear of ends by itself.
    pub(super) async fn give_back(&self) {
        let ended = std::mem::take(&mut self.known().ended);
        for (key, holder, at) in ended {
            let answer = self.engine.release(&key, &holder).await;
            if answer.is_err() && at.elapsed() < LASTS {
                self.known().ended.push((key, holder, at));
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease, or the attempt at one. Given back when dropped.
pub(super) struct TagLease {
    leases: Arc<TagLeases>,
    key: String,
    holder: String,
}

impl Drop for TagLease {
    fn drop(&mut self) {
        let (key, holder) = (std::mem::take(&mut self.key), std::mem::take(&mut self.holder));
        let mut known = self.leases.known();
        known.held.remove(&key);
        known.ended.push((key, holder, Instant::now()));
        drop(known);
        self.leases.changed.notify_one();
    }
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}
