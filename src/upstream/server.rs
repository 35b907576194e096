//! A server of a registry, as all workers share it. It outlives reloads that do not change it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::pki_types::TrustAnchor;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::endpoint::{Address, Endpoint, Usage};
use super::error::UpstreamError;
use super::health::{Standing, UpstreamFault};
use crate::config::ServerAddress;
use crate::metrics::Count;
use crate::pki::{SystemRoots, client_trusting, roots};
use crate::problem::Problems;

/// Why a look-up has failed that has not ended.
const NO_ANSWER: &str = "the resolver does not answer";
/// Requests that wait for a connection to one server.
const WAITING: usize = 256;

/// One server: its addresses, its connections, and what is counted for it.
#[derive(Debug)]
pub(crate) struct Server {
    /// As configured.
    pub address: ServerAddress,
    /// The same as the log and the metrics show it.
    pub name: Arc<str>,
    /// For `https://`.
    pub tls: Option<Tls>,
    pub counts: ServerCounts,
    /// Whether its addresses have to be looked up.
    pub is_named: bool,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Former addresses with connections.
    former: Mutex<Vec<Arc<Endpoint>>>,
    look_ups: watch::Sender<LookUps>,
    wanted: Notify,
    limit: usize,
    workers: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// How a server is verified.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub config: Arc<ClientConfig>,
    pub roots: Vec<TrustAnchor<'static>>,
}

/// What is counted for one server.
#[derive(Debug, Default)]
pub(crate) struct ServerCounts {
    pub connect_failures: Count,
    pub resolve_failures: Count,
    pub retries: Count,
    pub ejections: Count,
    pub checks_passed: Count,
    pub checks_failed: Count,
}

/// The look-ups of a server's name.
#[derive(Debug, Default)]
struct LookUps {
    ended: u64,
    begun: Option<Instant>,
    is_running: bool,
    /// Why the last one failed, and since when they do.
    failure: Option<(String, OffsetDateTime)>,
}

impl LookUps {
    fn end(&mut self, failure: Option<String>) {
        self.ended += 1;
        let since = self.failure.take().map_or_else(OffsetDateTime::now_utc, |(_, since)| since);
        self.failure = failure.map(|why| (why, since));
    }
}

impl Server {
    pub(super) fn new(address: &ServerAddress, tls: Option<Tls>, limit: usize, workers: usize) -> Self {
        let known = match address {
            ServerAddress::Unix(path) => Some(Address::Unix(path.clone())),
            ServerAddress::Tcp { host, port, .. } => {
                host.parse::<IpAddr>().ok().map(|ip| Address::Tcp((ip, *port).into()))
            }
        };
        let is_named = known.is_none();
        let endpoints = known.map(|known| Arc::new(Endpoint::new(known, workers))).into_iter().collect();
        Self {
            address: address.clone(),
            name: address.to_string().into(),
            tls,
            counts: ServerCounts::default(),
            is_named,
            endpoints: ArcSwap::from_pointee(endpoints),
            former: Mutex::default(),
            look_ups: watch::Sender::default(),
            wanted: Notify::new(),
            limit,
            workers,
            permits: Arc::new(Semaphore::new(limit)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Begins with the addresses of `before`, which has the same name: until the first look-up, or
    /// for as long as the resolver fails.
    pub(super) fn starting_as(self, before: &Self) -> Self {
        let known = before.endpoints();
        let new = known.iter().map(|known| Arc::new(Endpoint::new(known.address.clone(), self.workers)));
        self.endpoints.store(Arc::new(new.collect()));
        self
    }

    /// Whether it is the server at `address`, verified and limited like this.
    pub(super) fn is(&self, address: &ServerAddress, tls: Option<&Tls>, limit: usize) -> bool {
        let same_tls = match (&self.tls, tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.config, &other.config),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls && self.address == *address && self.limit == limit
    }

    /// The host and port to look up; `None` if the address is known.
    pub(crate) fn host(&self) -> Option<(&str, u16)> {
        match &self.address {
            ServerAddress::Tcp { host, port, .. } if self.is_named => Some((host, *port)),
            ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => None,
        }
    }

    /// The addresses that get requests.
    pub(crate) fn endpoints(&self) -> arc_swap::Guard<Arc<Vec<Arc<Endpoint>>>> {
        self.endpoints.load()
    }

    /// Connections of all workers, to former addresses too.
    pub(crate) fn connections(&self, usage: Usage) -> i64 {
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        self.endpoints().iter().chain(former.iter()).map(|endpoint| endpoint.connections(usage)).sum()
    }

    /// What is known of it: up if one of its addresses is, down if it has none.
    pub(crate) fn standing(&self) -> Option<Standing> {
        if self.endpoints().is_empty() {
            let (why, since) = self.look_ups.borrow().failure.clone()?;
            let fault = UpstreamFault::of_error(&UpstreamError::Name(io::Error::other(why)));
            return Some(Standing { up: false, since, fault: Some(fault) });
        }
        Standing::of_all(self.endpoints().iter().map(|endpoint| endpoint.health.standing()))
    }

    /// The addresses that a look-up has found. Those that are known stay with all that is known
    /// about them; the others get no more requests. Nothing found changes nothing.
    pub(crate) fn looked_up(&self, found: io::Result<Vec<SocketAddr>>) {
        let failure = match found {
            Ok(found) if !found.is_empty() => {
                self.replace(found);
                None
            }
            Ok(_) => Some("the name has no address".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if failure.is_some() {
            self.counts.resolve_failures.increment();
        }
        self.look_ups.send_modify(|look_ups| {
            look_ups.is_running = false;
            look_ups.end(failure);
        });
    }

    fn replace(&self, mut found: Vec<SocketAddr>) {
        // Resolvers change the order from one answer to the next.
        found.sort_unstable();
        found.dedup();
        let known = self.endpoints.load_full();
        let of = |address: &SocketAddr| {
            let address = Address::Tcp(*address);
            let same = known.iter().find(|endpoint| endpoint.address == address);
            same.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(address, self.workers)))
        };
        let new: Vec<_> = found.iter().map(of).collect();
        let gone: Vec<_> =
            known.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(old, new))).cloned().collect();
        if gone.is_empty() && new.len() == known.len() {
            return;
        }
        if !known.is_empty() {
            let addresses: Vec<_> = found.iter().map(ToString::to_string).collect();
            tracing::info!(server = %self.name, addresses = addresses.join(" "), "the registry has new addresses");
        }
        self.endpoints.store(Arc::new(new));
        gone.iter().for_each(|endpoint| endpoint.leave());
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.retain(|endpoint| Arc::strong_count(endpoint) > 1);
        former.extend(gone);
    }

    /// Records that a look-up begins.
    pub(crate) fn begin_look_up(&self) {
        self.look_ups.send_modify(|look_ups| {
            look_ups.begun = Some(Instant::now());
            look_ups.is_running = true;
        });
    }

    /// Records that the look-up takes too long. It goes on, and its result will count.
    pub(crate) fn look_up_is_late(&self) {
        self.counts.resolve_failures.increment();
        self.look_ups.send_modify(|look_ups| look_ups.end(Some(NO_ANSWER.to_owned())));
    }

    /// Asks for a look-up and checks as soon as they may be.
    pub(crate) fn want_attention(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody asks.
    pub(crate) async fn attention_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits for the end of a look-up if there is no address, until `deadline`.
    ///
    /// # Errors
    /// There is still none.
    pub(super) async fn first_address(&self, deadline: Instant) -> Result<(), UpstreamError> {
        let mut look_ups = self.look_ups.subscribe();
        let ended = look_ups.borrow_and_update().ended;
        // A look-up may have ended since the caller looked.
        if !self.endpoints().is_empty() {
            return Ok(());
        }
        if ended > 0 {
            self.want_attention();
        }
        let next = look_ups.wait_for(|look_ups| look_ups.ended > ended);
        let is_late = timeout_at(deadline, next).await.is_err();
        if !self.endpoints().is_empty() {
            return Ok(());
        }
        let failure = self.look_ups.borrow().failure.clone();
        let text = failure.filter(|_| !is_late).map_or_else(|| NO_ANSWER.to_owned(), |(why, _)| why);
        Err(UpstreamError::Name(io::Error::other(text)))
    }

    /// Asks for a look-up and waits for its end, until `deadline`, as long as it may bring another
    /// address.
    pub(super) async fn next_addresses(&self, deadline: Instant) {
        let mut look_ups = self.look_ups.subscribe();
        let (ended, may_begin) = {
            let now = look_ups.borrow_and_update();
            (now.ended, now.is_running || now.begun.is_none_or(|begun| begun.elapsed() >= LOOK_UP_PAUSE))
        };
        if may_begin {
            self.want_attention();
            _ = timeout_at(deadline, look_ups.wait_for(|now| now.ended > ended)).await;
        }
    }

    /// Counts and logs that an address is down, and asks for its checks.
    pub(crate) fn went_down(&self, endpoint: &Endpoint, fault: &UpstreamFault) {
        self.counts.ejections.increment();
        tracing::warn!("the registry {} is down: {fault}", self.shown(endpoint));
        self.want_attention();
    }

    /// Logs that an address is up again.
    pub(crate) fn came_up(&self, endpoint: &Endpoint) {
        tracing::info!("the registry {} is up", self.shown(endpoint));
    }

    /// The server, and the address if there are several.
    fn shown(&self, endpoint: &Endpoint) -> String {
        match self.endpoints().as_slice() {
            [only] if only.address == endpoint.address => self.name.to_string(),
            _ => format!("{} at {}", self.name, endpoint.address),
        }
    }

    /// The right to one more connection, if there is one now.
    pub(super) fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    /// Waits for the right to one more connection. `None` if too many wait.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::new(&self.waiting)?;
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Requests that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The shortest time between the beginnings of two look-ups of one name.
pub(crate) const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tls {
    /// Reads the roots in `ca`, the value of `key`. If they are those of `before`, its
    /// configuration is kept, and with it the connections.
    pub(super) fn build(
        key: &str,
        ca: Option<&Path>,
        system: &SystemRoots,
        before: impl Iterator<Item = Tls>,
    ) -> Result<Self, Problems> {
        let store = roots(ca, key, system)?;
        if let Some(same) = { before }.find(|before| before.roots == store.roots) {
            return Ok(same);
        }
        let roots = store.roots.clone();
        let config = Arc::new(client_trusting(store, key, &[b"http/1.1"])?);
        Ok(Self { config, roots })
    }
}
