//! Checks passwords: one hash per password, not one per request.
//!
//! A failed check takes the same time for every user, known or not (see `verifier/check.rs`), so
//! that timing does not reveal which users exist. All state shared by requests is behind one lock,
//! which is held briefly and never across an await.

mod asked;
mod asking;
mod check;
mod known;
mod verdict;
mod work;

use std::collections::HashMap;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config;
use crate::engine::{Engine, PATIENCE};
use crate::network::Network;
use crate::secret::Secret;

use super::hash::Fingerprint;
use super::htpasswd::Htpasswd;
use super::judgement::{Attempt, Judgement};
use super::person::Person;
use super::pool::{Job, Pool};
use super::sources::Judge;
use super::throttle::{Account, Charge, Throttle};
use crate::cache::{Cache, Key};
use crate::turns::{Queued, Ticket};
use asked::Asked;
use asking::{Asker, Asking, Heard, Leave, Listener, Part};
use check::check;
use known::Known;
pub use verdict::Verdict;
pub(crate) use work::Work;

/// How long a wrong password is remembered: enough for a client that retries at once.
const WRONG_LIFE: Duration = Duration::from_secs(3);
/// The same for one that a directory or a service has refused, which may count them.
const REFUSED_LIFE: Duration = Duration::from_secs(30);
/// Why a password of the file was not right.
const WRONG: &str = "wrong user or password";
/// How many wrong passwords are remembered.
const WRONG_SIZE: usize = 1024;
/// How often a request waits for a check of the same password against another stored hash. That
/// takes an edit of the file in between; more than a few in a row are an attack.
const TURNS: usize = 8;

/// Checks passwords for the whole process, shared by all workers.
pub struct Verifier {
    shared: Arc<Shared>,
    throttle: Throttle,
    asking: Asking,
    pool: Pool,
    key: hmac::Key,
    /// Passwords that were answered from memory.
    hits: AtomicU64,
}

/// What requests and hashing threads share.
struct Shared {
    state: Mutex<State>,
    /// The work of each check since the start, in units of bcrypt: a hash of cost c counts 2^c.
    #[cfg(test)]
    computed: Mutex<Vec<u64>>,
}

/// A fingerprint of `None` stands for an unknown user.
struct State {
    right: Cache<Known>,
    wrong: Cache<Option<Fingerprint>>,
    /// Those that were wrong elsewhere, with the reason.
    refused: Cache<(Option<Fingerprint>, &'static str)>,
    running: HashMap<Key, Running>,
    /// Passwords that had to be computed.
    misses: u64,
}

/// A check that is queued or being computed.
struct Running {
    network: Network,
    against: Option<Fingerprint>,
    /// Its place in the queue of the hashing threads. A check elsewhere has none.
    ticket: Option<Ticket>,
    /// The requests that wait for it.
    waiting: usize,
    outcome: watch::Sender<Option<Judgement>>,
}

/// A request that waits for a check. If it leaves and nobody else waits, the check is taken out of
/// the queue.
struct Waiter<'a> {
    verifier: &'a Verifier,
    key: Key,
    ticket: Option<Ticket>,
    against: Option<Fingerprint>,
    outcome: watch::Receiver<Option<Judgement>>,
}

/// The next step of a request, decided from the shared state.
enum Step<'a> {
    Answered(Verdict),
    Wait(Waiter<'a>),
    /// Ask the engine that replicas share.
    Ask(Asker),
    /// Another request is asking.
    Listen(Listener),
}

impl Verifier {
    /// Starts the hashing threads.
    ///
    /// # Errors
    /// The system provides no threads or no random numbers.
    pub fn new(settings: &config::Auth) -> io::Result<Verifier> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let state = State {
            right: Cache::new(settings.cache_size, settings.cache_ttl),
            wrong: Cache::new(WRONG_SIZE, WRONG_LIFE),
            refused: Cache::new(WRONG_SIZE, REFUSED_LIFE),
            running: HashMap::new(),
            misses: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            #[cfg(test)]
            computed: Mutex::default(),
        };
        let pool = Pool::start(settings.hash_threads, settings.hash_queue)?;
        let throttle = Throttle::new(settings.throttle);
        Ok(Self {
            shared: Arc::new(shared),
            throttle,
            asking: Asking::default(),
            pool,
            key,
            hits: AtomicU64::new(0),
        })
    }

    /// Limits wrong passwords together with the other replicas that share the engine.
    pub(crate) fn share(&mut self, engine: &Engine) {
        self.throttle.share(engine);
    }

    /// Counts wrong passwords. Other failed logins are charged to it too.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// What has been done so far.
    pub(crate) fn done(&self) -> Work {
        let state = self.shared.state();
        let (queued, queue_limit) = self.pool.queue();
        Work {
            hits: self.hits.load(Ordering::Relaxed),
            misses: state.misses,
            queued,
            queue_limit,
            seconds: self.pool.seconds(),
        }
    }

    /// Counts a password that was answered from memory.
    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Checks a password against a file alone; see [`Self::verify_with`].
    pub async fn verify(&self, users: &Htpasswd, from: IpAddr, name: &[u8], password: &Secret) -> Verdict {
        self.verify_with(Judge::File(users), from, name, password).await
    }

    /// Checks the password of the user `name`, sent from the address `from`. What is remembered
    /// applies only while the stored hash, or the settings of the source, are the same; after a
    /// change the password is checked again.
    ///
    /// Works on any runtime. The future may be dropped at any time: a check that has begun is
    /// finished and remembered, and one that still waits for a hashing thread loses its place. For
    /// bcrypt, only the first 72 bytes of the password are used.
    pub(crate) async fn verify_with(
        &self,
        judge: Judge<'_>,
        from: IpAddr,
        name: &[u8],
        password: &Secret,
    ) -> Verdict {
        let is_remote = matches!(judge, Judge::Remote(_));
        // An empty password would be an anonymous login at a directory, which succeeds (RFC 4513,
        // section 5.1.2).
        if password.expose().contains(&0) || is_remote && (password.expose().is_empty() || name.is_empty()) {
            return Verdict::Wrong(WRONG);
        }
        let key = self.key(name, password);
        let asked = Asked { network: Network::of(from), name, password, key, judge };
        let (mut leave, mut asker) = (Leave::None, None::<Asker>);
        let until = Instant::now() + PATIENCE;
        for _ in 0..TURNS {
            let step = self.step(&asked, mem::take(&mut leave));
            // Whoever listens finds what this step has begun.
            if let Some(asker) = asker.take() {
                asker.tell(Ok(()));
            }
            let mut waiter = match step {
                Step::Answered(verdict) => return verdict,
                Step::Wait(waiter) => waiter,
                Step::Ask(own) => {
                    match self.throttle.ask(asked.network, Account::Password(name), until).await {
                        Ok(charge) => (leave, asker) = (Leave::Charged(charge), Some(own)),
                        Err(left) => {
                            own.tell(Err(left));
                            return Verdict::Throttled(left);
                        }
                    }
                    continue;
                }
                Step::Listen(listener) => {
                    leave = match listener.listen(until).await {
                        Heard::Word(Ok(())) => Leave::Granted,
                        Heard::Word(Err(left)) => return Verdict::Throttled(left),
                        Heard::Nothing => Leave::None,
                        Heard::Late => Leave::Charged(None),
                    };
                    continue;
                }
            };
            // An error means that the check has panicked or lost its place in the queue.
            let outcome =
                waiter.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone()).ok().flatten();
            if waiter.against == asked.against() {
                return match outcome {
                    Some(Judgement::Right(person)) => {
                        Verdict::Right { person, is_new: self.is_new(&asked), until: None }
                    }
                    Some(Judgement::Wrong(reason)) => self.wrong(asked.network, reason),
                    Some(Judgement::Throttled(left)) => Verdict::Throttled(left),
                    Some(Judgement::Unavailable) => Verdict::Unavailable,
                    Some(Judgement::Busy) | None => Verdict::Busy,
                };
            }
        }
        Verdict::Busy
    }

    /// Whether no other request has heard that this password is right.
    fn is_new(&self, asked: &Asked<'_>) -> bool {
        let mut state = self.shared.state();
        let known = state.right.get_mut(&asked.key, Instant::now());
        known.is_none_or(|(known, _)| mem::take(&mut known.is_new))
    }

    /// The verdict for a password that was found to be wrong just now.
    fn wrong(&self, network: Network, reason: &'static str) -> Verdict {
        match self.throttle.answer_delay(network, Instant::now()) {
            Some(delay) => Verdict::WrongAgain(delay, reason),
            None => Verdict::Wrong(reason),
        }
    }

    /// Identifies a pair of name and password. The lengths distinguish `a`, `bc` from `ab`, `c`.
    /// The stored hash is not part of it: what requests share must not reveal which users exist.
    fn key(&self, user: &[u8], password: &Secret) -> Key {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, password.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        Key(key)
    }

    /// Answers from memory, joins the running check of this password, or starts one.
    ///
    /// During a delay a known password is accepted only from networks that have sent it before.
    /// Otherwise a throttled attacker could test guesses for free against a password known from
    /// elsewhere. The delay may be that of another replica, so the engine has to give `leave`
    /// before.
    fn step(&self, asked: &Asked<'_>, leave: Leave) -> Step<'_> {
        let Asked { network, name, key, .. } = *asked;
        let (account, against) = (Account::Password(name), asked.against());
        let now = Instant::now();
        let mut state = self.shared.state();
        let State { right, wrong, refused, running, misses } = &mut *state;
        let mut known = right.get_mut(&key, now).filter(|(known, _)| Some(known.stored) == against);
        if let Some((known, until)) = known.as_mut().filter(|(known, _)| known.is_from(network)) {
            self.count_hit();
            let (is_new, until) = (mem::take(&mut known.is_new), Some(*until));
            return Step::Answered(Verdict::Right { person: known.person.clone(), is_new, until });
        }
        if wrong.get(&key, now) == Some(&against) {
            self.count_hit();
            return Step::Answered(Verdict::Wrong(WRONG));
        }
        if let Some((_, reason)) = refused.get(&key, now).filter(|(stored, _)| *stored == against) {
            self.count_hit();
            return Step::Answered(Verdict::Wrong(reason));
        }
        let mut same = running.get_mut(&key);
        if let Some(running) = same.as_mut().filter(|running| running.network == network) {
            return Step::Wait(self.join(key, running));
        }
        if let Some(left) = self.throttle.delay_left(network, account, now) {
            return Step::Answered(Verdict::Throttled(left));
        }
        let ask = || match self.asking.join(key, network) {
            Part::Ask(asker) => Step::Ask(asker),
            Part::Listen(listener) => Step::Listen(listener),
        };
        let is_shared = self.throttle.is_shared();
        if is_shared && matches!(leave, Leave::None) {
            return ask();
        }
        if let Some((known, until)) = known {
            known.remember(network);
            known.is_new = false;
            self.count_hit();
            let (person, until) = (known.person.clone(), Some(until));
            return Step::Answered(Verdict::Right { person, is_new: true, until });
        }
        if let Some(running) = same {
            return Step::Wait(self.join(key, running));
        }
        let shared = match leave {
            Leave::Charged(shared) => shared,
            // What the other request has begun is over already.
            Leave::Granted if is_shared => return ask(),
            Leave::Granted | Leave::None => None,
        };
        let charge = match self.throttle.charge(network, account, now) {
            Ok(charge) => charge.with(shared),
            Err(left) => return Step::Answered(Verdict::Throttled(left)),
        };

        let outcome = watch::Sender::new(None);
        let completion = Completion {
            shared: Arc::clone(&self.shared),
            key,
            network,
            against,
            is_remote: matches!(asked.judge, Judge::Remote(_)),
            judgement: None,
            charge: Some(charge),
            outcome: outcome.clone(),
        };
        // The lock is still held, so the check cannot end before it is listed as running.
        let (step, dropped) = match self.begin(asked, completion, now) {
            Ok((ticket, displaced)) => {
                let mut begun = Running { network, against, ticket, waiting: 0, outcome };
                let step = Step::Wait(self.join(key, &mut begun));
                running.insert(key, begun);
                *misses += 1;
                (step, displaced)
            }
            Err(refused) => (Step::Answered(Verdict::Busy), Some(refused)),
        };
        // A job that is dropped ends its check, which takes the lock.
        drop(state);
        drop(dropped);
        step
    }

    /// Begins a check: queues a hash, or asks a source in a task of its own. Returns the place in
    /// the queue, and the job that has lost its place for it.
    ///
    /// # Errors
    /// The job, if the queue is full.
    fn begin(
        &self,
        asked: &Asked<'_>,
        completion: Completion,
        now: Instant,
    ) -> Result<(Option<Ticket>, Option<Job>), Job> {
        let Asked { network, name, password, .. } = *asked;
        let password = password.clone();
        let users = match asked.judge {
            Judge::File(users) => users,
            Judge::Remote(remote) => {
                let (remote, throttle) = (remote.clone(), self.throttle.clone());
                let attempt = Attempt { network, name: name.to_owned(), password, throttle };
                tokio::spawn(async move { completion.judged(remote.judge(attempt).await) });
                return Ok((None, None));
            }
        };
        let cost = users.highest_cost();
        let found = users.get(name).map(|(user, stored)| (user.clone(), stored.clone()));
        let job = move || {
            let checked = check(found.as_ref().map(|(_, stored)| &**stored), cost, password.expose());
            #[cfg(test)]
            completion.shared.computed.lock().unwrap().push(checked.work);
            completion.judged(match found {
                Some((user, stored)) if checked.right => Judgement::Right(Person::listed(&user, &stored)),
                _ => Judgement::Wrong(WRONG),
            });
        };
        let failures = self.throttle.failures(network, now);
        let Queued { ticket, displaced } = self.pool.submit(network, failures, Box::new(job))?;
        Ok((Some(ticket), displaced))
    }

    fn join(&self, key: Key, running: &mut Running) -> Waiter<'_> {
        running.waiting += 1;
        let Running { ticket, against, .. } = *running;
        Waiter { verifier: self, key, ticket, against, outcome: running.outcome.subscribe() }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // A check elsewhere goes on: its result counts there.
        let Some(ticket) = self.ticket else { return };
        let mut state = self.verifier.shared.state();
        let running = state.running.get_mut(&self.key).filter(|running| running.ticket == self.ticket);
        let Some(running) = running else { return };
        running.waiting -= 1;
        let withdrawn = if running.waiting == 0 { self.verifier.pool.withdraw(ticket) } else { None };
        if withdrawn.is_some() {
            // Whoever joined it would be told that it was not computed.
            state.running.remove(&self.key);
        }
        // The job ends its check, which takes the lock.
        drop(state);
        drop(withdrawn);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a check when dropped, even after a panic or without a computation. It remembers the result,
/// charges a wrong password, and wakes the requests that wait.
struct Completion {
    shared: Arc<Shared>,
    key: Key,
    network: Network,
    against: Option<Fingerprint>,
    /// Whether a directory or a service judges.
    is_remote: bool,
    judgement: Option<Judgement>,
    charge: Option<Charge>,
    outcome: watch::Sender<Option<Judgement>>,
}

impl Completion {
    /// Takes the result. A job that calls this owns the whole completion and not only its result.
    fn judged(mut self, judgement: Judgement) {
        self.judgement = Some(judgement);
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        match self.charge.take() {
            Some(charge) if matches!(self.judgement, Some(Judgement::Wrong(_))) => charge.keep(),
            charge => drop(charge),
        }
        let now = Instant::now();
        let mut state = self.shared.state();
        match (&self.judgement, self.against) {
            (Some(Judgement::Right(person)), Some(against)) => {
                state.right.insert(self.key, Known::new(against, person.clone(), self.network), now);
            }
            (Some(Judgement::Wrong(reason)), against) if self.is_remote => {
                state.refused.insert(self.key, (against, reason), now);
            }
            (Some(Judgement::Wrong(_)), against) => state.wrong.insert(self.key, against, now),
            _ => (),
        }
        let ended = |running: &Running| running.outcome.same_channel(&self.outcome);
        if state.running.get(&self.key).is_some_and(ended) {
            state.running.remove(&self.key);
        }
        drop(state);
        self.outcome.send_replace(self.judgement.take());
    }
}

#[cfg(test)]
mod tests;
