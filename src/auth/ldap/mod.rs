//! Logins at a directory: search, then bind.
//!
//! A search as the account of the settings finds the one entry that the filter fits. A bind with
//! its DN and the password of the client judges the password. Searches and binds have connections
//! of their own, so no search ever has the rights of a user.

mod connection;
mod directory;
mod failure;
#[cfg(test)]
mod fixtures;
mod groups;
mod kept;
mod lookup;
mod outage;
mod pace;
mod probe;
mod reason;
mod server;
mod show;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use self::directory::Directory;
use self::failure::Failure;
use self::lookup::{Account as Entry, account};
use self::outage::Outage;
use self::pace::Pace;
use self::reason::{Said, said};
use super::admission::Admission;
use super::hash::{Fingerprint, fingerprint_of};
use super::judgement::{Attempt, Judgement};
use super::person::{Person, Source};
use super::throttle::{Account, Charge, Throttle};
use crate::cache::{Cache, Key};
use crate::config;
use crate::engine::Engine;
use crate::network::Network;
use crate::pki::SystemRoots;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use crate::user::{Groups, User};

pub(crate) use self::probe::Finding;
pub(crate) use self::show::Shown;

/// How rules name the groups: `ldap:dev`.
const SOURCE: &str = "ldap";

/// How long the answer to a bind still counts as a wrong password.
const LATE: Duration = Duration::from_secs(30);

/// Persons that are remembered for identity tokens.
const REMEMBERED: usize = 4096;

/// A directory. What is counted and kept outlives a reload.
pub(crate) struct Ldap {
    digest: Fingerprint,
    wanted: BTreeSet<String>,
    directory: Arc<Directory>,
    admission: Arc<Admission>,
    pace: Arc<Pace>,
    outage: Arc<Outage>,
    /// The wrong passwords of each person, from wherever.
    throttle: Mutex<Throttle>,
    /// By the SHA-256 of the name. `None` inside for names that nobody has.
    persons: Mutex<Cache<Option<Person>>>,
}

/// The directory cannot be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

impl Ldap {
    /// `wanted` are the groups that rules name, such as `ldap:dev`. `queue` logins wait beside
    /// those at the directory, and persons are remembered for `cache_ttl`. Connections are taken
    /// over from `before` where the settings are the same, and so is what has been counted.
    /// Connects to nothing.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(crate) fn build(
        settings: &config::Ldap,
        queue: usize,
        cache_ttl: Duration,
        wanted: &BTreeSet<String>,
        system: &SystemRoots,
        before: Option<&Arc<Ldap>>,
    ) -> Result<Arc<Ldap>, Problems> {
        let read = Directory::read(settings, system)?;
        let limits =
            config::Throttle { failures: settings.failures, window: settings.window, delay: settings.window };
        let throttle = before.map_or_else(|| Throttle::new(limits), |before| before.throttle().clone());
        throttle.set(limits);
        let mut wanted = wanted.clone();
        wanted.retain(|group| group.strip_prefix(SOURCE).is_some_and(|name| name.starts_with(':')));
        let same = before.map(Arc::as_ref).filter(|before| before.directory.is_like(&read));
        let (directory, admission, pace, outage) = match same {
            Some(Ldap { directory, admission, pace, outage, .. }) => {
                (directory.clone(), admission.clone(), pace.clone(), outage.clone())
            }
            None => {
                let admission = Admission::new(settings.connections, queue);
                (Arc::new(read), admission, Arc::default(), Arc::default())
            }
        };
        let text = format!("{settings:?}");
        let parts = [text.as_bytes()].into_iter().chain(wanted.iter().map(String::as_bytes));
        Ok(Arc::new(Self {
            digest: fingerprint_of(parts),
            wanted,
            directory,
            admission,
            pace,
            outage,
            throttle: Mutex::new(throttle),
            persons: Mutex::new(Cache::new(REMEMBERED, cache_ttl)),
        }))
    }

    /// Counts wrong passwords together with the other replicas that share the engine.
    pub(crate) fn share(&self, engine: &Engine) {
        self.throttle().share(engine);
    }

    /// Changes with the settings and with the wanted groups: what was verified before such a change
    /// has to be verified again.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }

    /// Judges a login. Takes `auth.ldap.timeout` at most. Runs in a task of its own, which goes on
    /// when the client has left.
    pub(crate) async fn judge(&self, attempt: Attempt) -> Judgement {
        let (deadline, now) = (self.deadline(), Instant::now());
        let failures = attempt.throttle.failures(attempt.network, now);
        let admitted = timeout_at(deadline, self.admission.enter(attempt.network, failures)).await;
        let Ok(Ok(admitted)) = admitted else { return Judgement::Busy };
        let judged = self.in_time(deadline, self.login(&attempt, deadline)).await;
        drop(admitted);
        match judged {
            Ok(Login::Right(person)) => Judgement::Right(person),
            Ok(Login::Throttled(left)) => Judgement::Throttled(left),
            Ok(Login::Unsent(reason)) => Judgement::Wrong(reason),
            Ok(Login::Wrong(reason, begun)) => {
                sleep_until(self.pace.end(begun).min(deadline)).await;
                Judgement::Wrong(reason)
            }
            Err(Unavailable) => Judgement::Unavailable,
        }
    }

    /// The user of this name as the directory has them now, by one search that is remembered for
    /// `auth.cache_ttl`; for identity tokens. `None` if there is no such user.
    pub(crate) async fn person(&self, user: &User) -> Result<Option<Person>, Unavailable> {
        let key = Key(fingerprint_of([user.as_bytes()]));
        if let Some(person) = self.persons().get(&key, Instant::now()) {
            return Ok(person.clone());
        }
        let Some(name) = user.as_str() else { return Ok(None) };
        let deadline = self.deadline();
        let admitted = timeout_at(deadline, self.admission.enter(everywhere(), 0)).await;
        let Ok(Ok(_admitted)) = admitted else { return Err(Unavailable) };
        let found = async {
            match account(&self.directory, name, deadline).await? {
                // Somebody else may be found by a name that this user had.
                Ok(entry) if entry.user == *user => Ok(Some(self.person_of(&entry, deadline).await?)),
                Ok(_) | Err(_) => Ok(None),
            }
        };
        let person = self.in_time(deadline, found).await?;
        self.persons().insert(key, person.clone(), Instant::now());
        Ok(person)
    }

    /// Why the directory refuses the account that searches, unless it is the directory of `before`.
    /// Waits for `auth.ldap.timeout` at most.
    pub(crate) async fn refuses_account(&self, before: Option<&Arc<Ldap>>) -> Option<Problem> {
        if before.is_some_and(|before| Arc::ptr_eq(&before.directory, &self.directory)) {
            return None;
        }
        let deadline = self.deadline();
        let refused = timeout_at(deadline, self.directory.refuses_account(deadline)).await;
        let failure = refused.ok().flatten()?;
        let message = format!("{failure}; check auth.ldap.bind_dn and the file");
        let file = self.directory.settings.bind_password.as_deref();
        Some(file.map_or_else(
            || Problem::new("auth.ldap.bind_dn", &*message),
            |file| Problem::at(file, &*message),
        ))
    }

    /// Logs in like a client, and tells everything that was found, for `tidegate check --login`.
    ///
    /// # Errors
    /// Why the directory cannot be asked.
    pub(crate) async fn show(&self, name: &str, password: &Secret) -> Result<Shown, String> {
        let deadline = self.deadline();
        let shown = timeout_at(deadline, show::show(&self.directory, name, password, deadline)).await;
        let late = |_elapsed| Err(Failure::Late { server: self.directory.current() });
        shown.unwrap_or_else(late).map_err(|failure| failure.to_string())
    }

    /// What is wrong with the directory, or will be soon, for `tidegate check`.
    pub(crate) async fn probe(&self) -> Vec<Finding> {
        let prefix = format!("{SOURCE}:");
        let groups = self.wanted.iter().filter_map(|group| group.strip_prefix(&prefix));
        probe::probe(&self.directory, groups).await
    }

    async fn login(&self, attempt: &Attempt, deadline: Instant) -> Result<Login, Failure> {
        let Ok(name) = str::from_utf8(&attempt.name) else {
            return Ok(Login::Unsent("the user name is not UTF-8"));
        };
        if name.is_empty() || attempt.password.expose().is_empty() || attempt.password.expose().contains(&0) {
            // A bind without a password succeeds, for nobody in particular.
            return Ok(Login::Unsent("the user name or the password is empty"));
        }
        let entry = match account(&self.directory, name, deadline).await? {
            Ok(entry) => entry,
            Err(reason) => {
                // Otherwise the time would tell which users exist.
                let begun = Instant::now();
                let outcome = self.directory.bind(&self.nobody(), &attempt.password, deadline).await?;
                return match said(&outcome) {
                    Said::Nothing => Err(Failure::Bind { server: self.directory.current(), outcome }),
                    Said::Right | Said::Wrong(_) => Ok(Login::Wrong(reason, begun)),
                };
            }
        };
        // All spellings of a name are one account, also of the throttle of their network.
        let canonical = entry.user.as_bytes();
        let by_network = if canonical == attempt.name {
            None
        } else {
            let charged =
                attempt.throttle.charge_everywhere(attempt.network, Account::Password(canonical)).await;
            match charged {
                Ok(charge) => Some(charge),
                Err(left) => return Ok(Login::Throttled(left)),
            }
        };
        let throttle = self.throttle().clone();
        let by_person = match throttle.charge_everywhere(everywhere(), Account::Directory(canonical)).await {
            Ok(charge) => charge,
            Err(left) => return Ok(Login::Throttled(left)),
        };
        let begun = Instant::now();
        let (directory, dn) = (self.directory.clone(), entry.dn.clone());
        let password = attempt.password.clone();
        // Goes on when this login is given up: the directory may count what it has been sent.
        let bind = tokio::spawn(async move {
            let late = |_elapsed| Err(Failure::Late { server: directory.current() });
            let bound = timeout(LATE, directory.bind(&dn, &password, deadline)).await.unwrap_or_else(late);
            if matches!(&bound, Ok(outcome) if matches!(said(outcome), Said::Wrong(_))) {
                [Some(by_person), by_network].into_iter().flatten().for_each(Charge::keep);
            }
            bound
        });
        let late = |_panic| Err(Failure::Late { server: self.directory.current() });
        let outcome = bind.await.unwrap_or_else(late)?;
        self.pace.note(begun.elapsed());
        match said(&outcome) {
            Said::Right => Ok(Login::Right(self.person_of(&entry, deadline).await?)),
            Said::Wrong(reason) => Ok(Login::Wrong(reason, begun)),
            Said::Nothing => Err(Failure::Bind { server: self.directory.current(), outcome }),
        }
    }

    async fn person_of(&self, entry: &Entry, deadline: Instant) -> Result<Person, Failure> {
        let groups = if self.wanted.is_empty() {
            Groups::default()
        } else {
            let named = groups::groups(&self.directory, entry, deadline).await?;
            Groups::of(SOURCE, named.iter().map(String::as_str), &self.wanted)
        };
        Ok(Person { user: entry.user.clone(), groups, binding: entry.binding, source: Source::Ldap })
    }

    /// The result of a step that has to be over by `deadline`. The log is told about failures.
    async fn in_time<T>(
        &self,
        deadline: Instant,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Unavailable> {
        let failure = match timeout_at(deadline, step).await {
            Ok(Ok(done)) => {
                self.outage.ended();
                return Ok(done);
            }
            Ok(Err(failure)) => failure,
            Err(_elapsed) => {
                let late = Failure::Late { server: self.directory.current() };
                self.directory.give_up();
                late
            }
        };
        self.outage.goes_on(&failure);
        Err(Unavailable)
    }

    /// A DN that nobody has.
    fn nobody(&self) -> String {
        let mut bytes = [0; 16];
        // Without chance, it is still a name that nobody has.
        _ = rand::fill(&mut bytes);
        format!("cn={:032x},{}", u128::from_be_bytes(bytes), self.directory.settings.base)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.directory.settings.timeout
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn persons(&self) -> MutexGuard<'_, Cache<Option<Person>>> {
        self.persons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a login ended.
enum Login {
    Right(Person),
    /// With the reason, and when the bind began.
    Wrong(&'static str, Instant),
    /// The directory could not be asked about such a login.
    Unsent(&'static str),
    Throttled(Duration),
}

/// The network of all clients, for what is counted by person.
fn everywhere() -> Network {
    Network::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests;
