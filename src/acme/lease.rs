//! The right to ask the directory, which one of the replicas has at a time, and what the replicas
//! share.

use std::future::pending;
use std::time::Duration;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use redis::Script;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::config::Acme;
use crate::engine::{Away, Engine};
use crate::secret::Secret;
use crate::tls::Offer;

/// How long a holder may be silent before another replica takes over.
const LEASE: Duration = Duration::from_secs(20);
const RENEWED_EVERY: Duration = Duration::from_secs(5);
/// While the engine is away, the holder stops so long after its last renewal, before another one
/// can begin.
const PATIENCE: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(1);
/// Records outlive any certificate, but not for ever: names that nobody has leave.
const KEPT: Duration = Duration::from_hours(2 * 366 * 24);

/// Takes the lease if nobody else has it. Arguments: holder, milliseconds.
const TAKE: &str = "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";
/// Keeps the lease. The same arguments.
const KEEP: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";
/// Writes a record, or removes it if it is empty. Arguments: holder, record, seconds.
const WRITE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3]) end
return 1";

/// How long an answer to a directory is kept: longer than a validation takes.
const ANSWERED: Duration = Duration::from_mins(10);

/// What replicas share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Account,
    Order,
    Renewal,
    Certificate,
}

impl Record {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Order, Self::Renewal, Self::Certificate];
}

/// A record as it is in the engine.
pub(super) type Sealed = Option<Vec<u8>>;

/// The lease of one certificate: of one directory, one set of names and one profile.
pub(super) struct Lease {
    engine: Engine,
    /// Names the certificate.
    certificate: String,
    directory: String,
    /// Names this process.
    holder: String,
    lost: Notify,
}

impl Lease {
    pub(super) fn new(engine: Engine, acme: &Acme) -> Self {
        let mut names = acme.names.clone();
        names.sort_unstable();
        let profile = acme.profile.as_deref().unwrap_or_default();
        let parts =
            [&[acme.directory.as_str(), profile], &*names.iter().map(String::as_str).collect::<Vec<_>>()];
        let parts: Vec<&[u8]> = parts.concat().into_iter().map(str::as_bytes).collect();
        let mut random = [0; 16];
        // An error is ignored: without random numbers TLS would fail anyway.
        _ = rand::fill(&mut random);
        Self {
            certificate: engine.pseudonym(&parts),
            directory: engine.pseudonym(&[acme.directory.as_bytes()]),
            engine,
            holder: HEXLOWER.encode(&random),
            lost: Notify::new(),
        }
    }

    pub(super) async fn take(&self) -> Result<bool, Away> {
        self.with_lease(TAKE).await
    }

    /// Keeps the lease, and returns when it is lost.
    pub(super) async fn hold(&self) {
        tokio::select! {
            () = self.lost.notified() => {}
            () = self.renew() => {}
        }
    }

    /// Lets another replica take it at once. An engine that is away forgets the lease by itself.
    pub(super) async fn release(&self) {
        _ = self.engine.release(&self.key("lease"), &self.holder).await;
    }

    async fn renew(&self) {
        let mut connections = self.engine.connections();
        connections.mark_unchanged();
        let (mut until, mut pause) = (Instant::now() + PATIENCE, RENEWED_EVERY);
        while Instant::now() < until {
            tokio::select! {
                () = sleep(pause) => {}
                // The engine may have come back empty.
                _ = connections.changed() => {}
            }
            match self.with_lease(KEEP).await {
                Ok(true) => (until, pause) = (Instant::now() + PATIENCE, RENEWED_EVERY),
                Ok(false) => return,
                Err(Away) => pause = RETRY,
            }
        }
    }

    async fn with_lease(&self, script: &str) -> Result<bool, Away> {
        let arguments = [self.holder.clone(), LEASE.as_millis().to_string()];
        self.engine.run(&Script::new(script), &[&self.key("lease")], &arguments).await
    }

    /// The key of a record of this certificate.
    fn key(&self, record: &str) -> String {
        self.engine.key(&["acme", &self.certificate, record])
    }

    /// The records that replicas share, sealed, in the order of [`Record::ALL`].
    pub(super) async fn records(&self) -> Result<[Sealed; Record::ALL.len()], Away> {
        let mut command = redis::cmd("MGET");
        for record in Record::ALL {
            command.arg(self.record_key(record));
        }
        self.engine.query(&command).await
    }

    fn record_key(&self, record: Record) -> String {
        match record {
            Record::Account => self.engine.key(&["acme", &self.directory, "account"]),
            Record::Order => self.key("order"),
            Record::Renewal => self.key("renewal"),
            Record::Certificate => self.key("certificate"),
        }
    }

    pub(super) fn open(&self, record: Record, sealed: &[u8]) -> Option<Secret> {
        self.engine.open(&self.record_key(record), sealed)
    }

    /// Writes a record, or removes it. Never returns once the lease is lost: whoever has it then
    /// may have written already. The caller is dropped when [`Lease::hold`] returns.
    pub(super) async fn write(&self, record: Record, content: Option<&Secret>) {
        self.write_for(KEPT, &self.record_key(record), content).await;
    }

    /// Lets every replica give this answer to the directory. Never returns once the lease is lost.
    pub(super) async fn answer(&self, offer: &Offer) {
        self.write_for(ANSWERED, &offer.place.key(&self.engine), Some(&offer.shared)).await;
    }

    async fn write_for(&self, time: Duration, key: &str, content: Option<&Secret>) {
        match self.try_write(time, key, content).await {
            Ok(true) => {}
            _ => {
                self.lost.notify_one();
                pending().await
            }
        }
    }

    async fn try_write(&self, time: Duration, key: &str, content: Option<&Secret>) -> Result<bool, Away> {
        let sealed = content.map(|content| self.engine.seal(key, content)).transpose()?;
        let seconds = time.as_secs().to_string().into_bytes();
        let arguments = [self.holder.clone().into_bytes(), sealed.unwrap_or_default(), seconds];
        self.engine.run(&Script::new(WRITE), &[&self.key("lease"), key], &arguments).await
    }
}
