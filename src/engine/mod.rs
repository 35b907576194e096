//! What replicas share: a Redis or Valkey, here called the engine.
//!
//! Everything works without it, and no request waits for it longer than [`PATIENCE`]. While it is
//! away, questions fail at once.

mod link;
mod outage;
mod seal;

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Script, ToRedisArgs, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use self::link::{Link, Target};
use self::outage::Outage;
use self::seal::Sealer;
use crate::config;
use crate::metrics::{Asked, Label};
use crate::problem::Problems;
use crate::secret::Secret;

/// The longest that a question may take.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// The longest that a start waits for what the engine has.
pub(crate) const AT_START: Duration = Duration::from_secs(2);
/// The longest that a connection may take, with the first answer. Also how soon the engine is used
/// again after it was silent.
const ATTEMPT: Duration = Duration::from_millis(900);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two checks of a connection.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What cannot stand in a part of a key. The colon separates parts.
const NOT_IN_KEY: &AsciiSet = &CONTROLS.add(b' ').add(b':').add(b'%');

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});

/// The engine that replicas share. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: Arc<Inner>,
    /// What the failures of this clone count for.
    asked: Asked,
}

struct Inner {
    target: Target,
    prefix: String,
    sealer: Sealer,
    /// The connection; `None` while the engine is away.
    link: ArcSwapOption<Link>,
    /// Tells [`Engine::keep`] that a question has found the engine to be away.
    left: Notify,
    connections: watch::Sender<u64>,
    standing: Mutex<Standing>,
    failures: [AtomicU64; Asked::ALL.len()],
}

/// The engine cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// Whether the engine can be used.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) is_up: bool,
    /// When that began.
    pub(crate) since: SystemTime,
    /// Why it was last away; `None` if it never was. While the engine is away, this is the reason.
    pub(crate) last_error: Option<String>,
}

impl Standing {
    /// `ok`, or why the engine is away.
    pub(crate) fn brief(self) -> String {
        match self {
            Self { is_up: true, .. } => "ok".to_owned(),
            Self { last_error, .. } => last_error.unwrap_or_else(|| "not connected yet".to_owned()),
        }
    }
}

impl Engine {
    /// Reads the files that the settings name; `None` if they name no engine. Connects nothing.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub(crate) fn new(settings: &config::Shared) -> Result<Option<Engine>, Problems> {
        let Some(url) = &settings.url else { return Ok(None) };
        let mut problems = Problems::default();
        let target = problems.take(Target::read(url, settings));
        let sealer = problems.take(Sealer::read(settings));
        let (Some(target), Some(sealer)) = (target, sealer) else { return Err(problems) };
        let inner = Arc::new(Inner {
            target,
            prefix: settings.prefix.clone(),
            sealer,
            link: ArcSwapOption::empty(),
            left: Notify::new(),
            connections: watch::Sender::default(),
            standing: Mutex::new(Standing { is_up: false, since: SystemTime::now(), last_error: None }),
            failures: Default::default(),
        });
        Ok(Some(Engine { inner, asked: Asked::Secrets }))
    }

    /// The same engine. What fails through the new value counts for `asked`.
    pub(crate) fn asking(&self, asked: Asked) -> Engine {
        Engine { inner: self.inner.clone(), asked }
    }

    /// Connects once, and returns why that fails.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let check = link::check(&self.key(&["check"]));
        let opened = timeout(ATTEMPT, Link::open(&self.inner.target, &check)).await;
        opened.unwrap_or_else(|_elapsed| Err(silence(ATTEMPT))).map(|_link| ())
    }

    /// Connects, checks the connection and connects again, for ever. Runs on the main thread, to
    /// which the connection belongs.
    pub(crate) async fn keep(&self) -> Infallible {
        let inner = &self.inner;
        let mut outage = Outage::default();
        let check = link::check(&self.key(&["check"]));
        loop {
            match timeout(ATTEMPT, Link::open(&inner.target, &check)).await {
                Ok(Ok(link)) => {
                    inner.enter(Arc::new(link));
                    outage.ended(&inner.target);
                    self.watch(&check).await;
                    // One late answer is no outage: at once to the next connection.
                    continue;
                }
                Ok(Err(error)) => inner.stay_away(error),
                Err(_elapsed) => inner.stay_away(silence(ATTEMPT)),
            }
            outage.goes_on(&inner.target, inner.standing().last_error.as_deref());
            sleep(PAUSE).await;
        }
    }

    /// Returns when the engine is away.
    async fn watch(&self, check: &Cmd) {
        while self.inner.link.load().is_some() {
            tokio::select! {
                () = self.inner.left.notified() => {}
                () = sleep(CHECK_EVERY) => {
                    _ = self.query::<()>(check).await;
                }
            }
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.inner.standing().clone()
    }

    /// How many questions have failed, by [`Asked::index`].
    pub(crate) fn failures(&self) -> [u64; Asked::ALL.len()] {
        self.inner.failures.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// A number that rises with each connection. What the engine held before it may be lost.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.inner.connections.subscribe()
    }

    /// The name of a key. Other parts have another name.
    pub(crate) fn key(&self, parts: &[&str]) -> String {
        let mut key = self.inner.prefix.clone();
        for part in parts {
            key.push(':');
            key.extend(utf8_percent_encode(part, NOT_IN_KEY));
        }
        key
    }

    /// Asks the engine, from any thread. Takes [`PATIENCE`] at most, and no time while the engine
    /// is known to be away. Silence makes it away.
    ///
    /// # Errors
    /// The engine is away, or has refused the question.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        self.ask(async |link| command.query_async(&mut link.connection()).await).await
    }

    /// Runs a script. It is sent whole only to an engine that does not know it yet. Otherwise as
    /// [`Engine::query`].
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, Away> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for argument in arguments {
            call.arg(argument);
        }
        self.ask(async |link| call.invoke_async(&mut link.connection()).await).await
    }

    /// Gives back the lease that is the key of this name, if `holder` has it.
    ///
    /// # Errors
    /// As for [`Engine::query`].
    pub(crate) async fn release(&self, key: &str, holder: &str) -> Result<(), Away> {
        self.run(&RELEASE, &[key], &[holder]).await
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(&Link) -> RedisResult<T>) -> Result<T, Away> {
        let answer = match self.inner.link.load_full() {
            Some(link) => match timeout(PATIENCE, question(&link)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(self.inner.failed(&link, &error)),
                Err(_elapsed) => Err(self.inner.leave(&link, silence(PATIENCE))),
            },
            None => Err(Away),
        };
        if answer.is_err() {
            self.inner.failures[self.asked.index()].fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Seals a secret for the key of this name.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn seal(&self, key: &str, plain: &Secret) -> Result<Vec<u8>, Away> {
        self.inner.sealer.seal(key, plain).ok_or(Away)
    }

    /// Opens what [`Engine::seal`] has sealed for the key of this name; `None` if it was sealed
    /// with another secret, or for another key.
    pub(crate) fn open(&self, key: &str, sealed: &[u8]) -> Option<Secret> {
        self.inner.sealer.open(key, sealed)
    }

    /// The secret of this name that all replicas have: the one in the engine, else `ours`, which is
    /// put there.
    pub(crate) async fn agree(&self, name: &str, ours: &Secret) -> Result<Secret, Away> {
        // After a change of the secret that seals, nobody could open what is there.
        let sealed_with = self.pseudonym(&[b"sealed with"]);
        let key = self.key(&["secret", &sealed_with, name]);
        if let Some(sealed) = self.query::<Option<Vec<u8>>>(cmd("GET").arg(&key)).await? {
            return self.open(&key, &sealed).ok_or(Away);
        }
        let sealed = self.seal(&key, ours)?;
        self.query::<()>(cmd("SET").arg(&key).arg(sealed).arg("NX")).await?;
        let sealed = self.query::<Option<Vec<u8>>>(cmd("GET").arg(&key)).await?;
        sealed.and_then(|sealed| self.open(&key, &sealed)).ok_or(Away)
    }

    /// A name for `parts` that says nothing about them to those who do not know the secret.
    pub(crate) fn pseudonym(&self, parts: &[&[u8]]) -> String {
        self.inner.sealer.pseudonym(parts)
    }
}

impl Inner {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, link: Arc<Link>) {
        {
            let mut standing = self.standing();
            (standing.is_up, standing.since) = (true, SystemTime::now());
        }
        self.link.store(Some(link));
        self.connections.send_modify(|number| *number += 1);
    }

    /// Judges an error of the engine.
    fn failed(&self, link: &Arc<Link>, error: &RedisError) -> Away {
        if link::ends_it(error) {
            return self.leave(link, link::words(error));
        }
        tracing::debug!(error = link::words(error), "the shared state refuses a question");
        Away
    }

    /// Uses `link` no more.
    fn leave(&self, link: &Arc<Link>, error: String) -> Away {
        let current = self.link.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            self.link.compare_and_swap(&current, None);
            self.stay_away(error);
            self.left.notify_one();
        }
        Away
    }

    fn stay_away(&self, error: String) {
        let mut standing = self.standing();
        if standing.is_up {
            (standing.is_up, standing.since) = (false, SystemTime::now());
        }
        standing.last_error = Some(error);
    }
}

fn silence(after: Duration) -> String {
    format!("it does not answer within {} ms", after.as_millis())
}

/// Keeps `engine`; without one, waits for ever.
pub(crate) async fn keep(engine: Option<Engine>) -> Infallible {
    match engine {
        Some(engine) => engine.keep().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
