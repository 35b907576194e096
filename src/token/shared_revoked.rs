//! The revoked logins of all replicas, in the engine that they share.
//!
//! Each replica publishes its own list, and what it knows of the others. An engine that has lost
//! everything gets it back from any of them. The engine knows users as pseudonyms.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::Script;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::revoked::{EVERYBODY, Revoked};
use super::unix_time::milliseconds;
use crate::engine::{Away, Engine};
use crate::live_file::{LiveFile, Unread};
use crate::metrics::Asked;

/// How often the list is read. A revocation takes two of these, and the questions.
const EVERY: Duration = Duration::from_millis(250);
/// How long a replica that has just started waits for the others, if there is no list: the engine
/// may have lost it, and they will bring it back.
const GRACE: Duration = Duration::from_secs(1);
/// The most users that are published at once.
const AT_ONCE: usize = 500;

/// The own list of a replica, and the life of its identity tokens.
pub(crate) type OwnList = (Arc<LiveFile<Revoked>>, Duration);

/// What all replicas have revoked, as far as it is known. It outlives a reload.
pub(crate) struct SharedRevoked {
    engine: Engine,
    key: String,
    read: Script,
    publish: Script,
    /// `None` until the list was read for the first time.
    known: watch::Sender<Option<Arc<Entries>>>,
}

/// By the pseudonyms of users.
type Entries = HashMap<String, Entry>;

/// Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Identity tokens that were issued up to then are ended.
    ended: u64,
    /// The last of them would have expired then.
    expires: u64,
}

/// What one reader remembers from one reading to the next.
#[derive(Default)]
struct Memory {
    /// Since when the engine has had no list.
    absent_since: Option<Instant>,
    /// Empty for no list.
    version: String,
    /// What the engine has.
    stored: Entries,
    /// The own list that `own` was made of.
    list: Option<(Arc<Revoked>, Duration)>,
    own: Entries,
}

impl SharedRevoked {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.asking(Asked::Revocations),
            key: engine.key(&["revoked"]),
            read: Script::new(include_str!("shared_revoked/read.lua")),
            publish: Script::new(include_str!("shared_revoked/publish.lua")),
            known: watch::Sender::new(None),
        }
    }

    /// Whether a token is ended that was issued to `user` at `given`, in milliseconds since 1970.
    ///
    /// # Errors
    /// The list has not been read since the start.
    pub(crate) fn ends(&self, user: &str, given: u64) -> Result<bool, Unread> {
        let known = self.known.borrow().clone().ok_or(Unread)?;
        let ends = |user| known.get(&self.name(user)).is_some_and(|entry| given <= entry.ended);
        Ok(ends(EVERYBODY) || ends(user))
    }

    /// Reads and publishes at intervals, for ever. `own` is the list of this replica at the moment;
    /// `None` while it has no identity tokens.
    pub(crate) async fn keep(&self, own: impl Fn() -> Option<OwnList>) -> Infallible {
        let (mut connections, mut memory) = (self.engine.connections(), Memory::default());
        loop {
            // A failure is tried again soon; the engine says in the log that it is away.
            if let Some(own) = own().filter(|_| self.engine.standing().is_up) {
                _ = self.exchange(&mut memory, &own).await;
            }
            tokio::select! {
                _ = connections.changed() => memory.absent_since = None,
                () = sleep(EVERY) => {}
            }
        }
    }

    /// Waits until the list was read, or until `until`. A replica that has just started would
    /// refuse identity tokens.
    pub(crate) async fn first_reading(&self, until: Instant) {
        _ = timeout_at(until, self.known.subscribe().wait_for(Option::is_some)).await;
    }

    async fn exchange(&self, memory: &mut Memory, (list, life): &OwnList) -> Result<(), Away> {
        let is_changed = self.read(memory).await?;
        if memory.version.is_empty() && self.known.borrow().is_none() {
            let since = *memory.absent_since.get_or_insert_with(Instant::now);
            if since.elapsed() < GRACE {
                return Ok(());
            }
        }
        let is_changed = self.look(memory, list, *life) || is_changed;
        let now = milliseconds(SystemTime::now());
        let before = self.known.borrow().clone();
        let known = match before {
            Some(known) if !is_changed => known,
            before => {
                let mut known = before.as_deref().cloned().unwrap_or_default();
                known.retain(|_, entry| now < entry.expires);
                merge(&mut known, &memory.stored);
                merge(&mut known, &memory.own);
                let known = Arc::new(known);
                self.known.send_replace(Some(known.clone()));
                known
            }
        };
        let is_missing = |(user, entry): &(&String, &Entry)| {
            let stored = memory.stored.get(*user);
            now < entry.expires && stored.is_none_or(|stored| stored.merged(**entry) != *stored)
        };
        let missing: Vec<_> = known.iter().filter(is_missing).collect();
        if missing.is_empty() && memory.version.is_empty() {
            // Says that there is a list, which is empty.
            self.publish(&[], now).await?;
        }
        for some in missing.chunks(AT_ONCE) {
            self.publish(some, now).await?;
        }
        Ok(())
    }

    /// Reads the list; `false` if it has not changed.
    async fn read(&self, memory: &mut Memory) -> Result<bool, Away> {
        let answer: Option<HashMap<String, String>> =
            self.engine.run(&self.read, &[&self.key], &[memory.version.as_str()]).await?;
        let Some(mut fields) = answer else { return Ok(false) };
        let version = fields.remove("version").unwrap_or_default();
        let stored =
            fields.into_iter().filter_map(|(user, text)| Some((user, Entry::parse(&text)?))).collect();
        let is_changed = memory.version != version || memory.stored != stored;
        (memory.version, memory.stored) = (version, stored);
        Ok(is_changed)
    }

    /// Looks at the own list; `false` if it has not changed. One that cannot be read now stays as
    /// it was.
    fn look(&self, memory: &mut Memory, list: &LiveFile<Revoked>, life: Duration) -> bool {
        let Ok(list) = list.current() else { return false };
        let is_same = |(known, of): &(Arc<Revoked>, Duration)| Arc::ptr_eq(known, &list) && *of == life;
        if memory.list.as_ref().is_some_and(is_same) {
            return false;
        }
        let entry = |(user, ended)| (self.name(user), Entry::of(ended, life));
        memory.own = list.entries().map(entry).collect();
        memory.list = Some((list, life));
        true
    }

    async fn publish(&self, entries: &[(&String, &Entry)], now: u64) -> Result<(), Away> {
        let mut arguments = vec![now.to_string()];
        for (user, Entry { ended, expires }) in entries {
            arguments.extend([(*user).clone(), ended.to_string(), expires.to_string()]);
        }
        self.engine.run(&self.publish, &[&self.key], &arguments).await
    }

    fn name(&self, user: &str) -> String {
        self.engine.pseudonym(&[b"revoked", user.as_bytes()])
    }
}

impl Entry {
    fn of(ended: i128, life: Duration) -> Self {
        // A number of Lua is exact up to there, which is long after the year 9999.
        const LAST: u64 = 1 << 52;
        let ended = u64::try_from(ended.max(0)).map_or(LAST, |ended| ended.min(LAST));
        let life = u64::try_from(life.as_millis()).map_or(LAST, |life| life.min(LAST));
        Self { ended, expires: ended + life }
    }

    fn parse(text: &str) -> Option<Self> {
        let (ended, expires) = text.split_once(' ')?;
        Some(Self { ended: ended.parse().ok()?, expires: expires.parse().ok()? })
    }

    fn merged(self, other: Entry) -> Self {
        Self { ended: self.ended.max(other.ended), expires: self.expires.max(other.expires) }
    }
}

fn merge(known: &mut Entries, more: &Entries) {
    for (user, entry) in more {
        known.entry(user.clone()).and_modify(|known| *known = known.merged(*entry)).or_insert(*entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_printed_and_read_and_never_loses() {
        let hour = Duration::from_hours(1);
        let early = Entry::of(1_000, hour);
        assert_eq!(early, Entry { ended: 1_000, expires: 3_601_000 });
        assert_eq!(Entry::parse("1000 3601000"), Some(early));
        for bad in ["", "1000", "1000 x", "-1 5", "1 2 3", "1785000000.5 7"] {
            assert_eq!(Entry::parse(bad), None, "{bad}");
        }
        let late = Entry::of(2_000, Duration::ZERO);
        for merged in [early.merged(late), late.merged(early)] {
            assert_eq!(merged, Entry { ended: 2_000, expires: 3_601_000 });
        }
    }

    #[test]
    fn any_date_of_a_list_fits() {
        assert_eq!(Entry::of(-1, Duration::ZERO), Entry { ended: 0, expires: 0 });
        let last = Entry::of(i128::MAX, Duration::MAX);
        assert!(last.ended < last.expires && last.expires < 1 << 54, "{last:?}");
    }
}
