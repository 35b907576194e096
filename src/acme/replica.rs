//! One of several replicas with a common certificate. It copies what the others have until it is
//! the one that asks the directory.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::certificate;
use super::error::IssuanceError;
use super::lease::{Lease, Record, Sealed};
use super::renew::renew;
use super::store::Store;
use crate::config::Acme;
use crate::engine::{Away, Engine};
use crate::secret::Secret;
use crate::tls::Challenges;

/// How often it looks for a new certificate and for the lease.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A replica that knows nothing leaves the first looks to the others: the engine may have lost what
/// they have.
const MODESTY: u32 = 3;

pub(super) struct Replica<'a> {
    acme: &'a Acme,
    lease: Rc<Lease>,
    store: Rc<Store>,
    is_holder: &'a AtomicBool,
    /// The records in the engine as they were last copied.
    seen: Option<[Sealed; Record::ALL.len()]>,
}

impl<'a> Replica<'a> {
    pub(super) fn new(engine: &Engine, acme: &'a Acme, is_holder: &'a AtomicBool) -> Self {
        let lease = Rc::new(Lease::new(engine.clone(), acme));
        let store = Rc::new(Store::shared(&acme.state, lease.clone()));
        Self { acme, lease, store, is_holder, seen: None }
    }

    /// Renews the certificate while it has the lease, and copies it while another one has. For
    /// `keep_delay` see [`renew`].
    pub(super) async fn keep(
        &mut self,
        mut keep_delay: bool,
        challenges: &Arc<Challenges>,
        issued: &Notify,
    ) -> Infallible {
        loop {
            self.follow(issued).await;
            tracing::info!("this replica gets the certificates from now on");
            self.is_holder.store(true, Ordering::Relaxed);
            let lease = self.lease.clone();
            let hold = async {
                self.adopt(issued).await;
                renew(self.acme, &self.store, keep_delay, challenges, issued).await
            };
            tokio::select! {
                () = lease.hold() => {}
                never = hold => match never {},
            }
            self.is_holder.store(false, Ordering::Relaxed);
            tracing::warn!("another replica may get the certificates from now on");
            keep_delay = true;
        }
    }

    /// Lets another replica begin at once.
    pub(super) async fn leave(&self) {
        if self.is_holder.swap(false, Ordering::Relaxed) {
            self.lease.release().await;
        }
    }

    /// Copies what others have got until it has the lease.
    async fn follow(&mut self, issued: &Notify) {
        let (mut looks, mut is_away) = (0_u32, false);
        loop {
            match self.look(issued).await {
                Ok(is_known) => {
                    is_away = false;
                    looks = looks.saturating_add(1);
                    let is_modest = !is_known && looks <= MODESTY && !self.knows_something();
                    if !is_modest && self.lease.take().await == Ok(true) {
                        return;
                    }
                }
                Err(Away) if !is_away => {
                    is_away = true;
                    tracing::warn!("no certificate is ordered, because the shared state is away");
                }
                Err(Away) => {}
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn knows_something(&self) -> bool {
        matches!(self.store.own(self.acme, Record::Account), Ok(Some(_)))
    }

    /// Copies the records that have changed in the engine. Returns whether the engine knows this
    /// certificate.
    async fn look(&mut self, issued: &Notify) -> Result<bool, Away> {
        let records = self.lease.records().await?;
        let [_, _, renewal, certificate] = &records;
        let is_known = renewal.is_some() || certificate.is_some();
        if self.seen.as_ref() != Some(&records) {
            for (index, (record, sealed)) in Record::ALL.into_iter().zip(&records).enumerate() {
                let before = self.seen.as_ref().map(|seen| &seen[index]);
                // What the engine has lost stays here.
                if before == Some(sealed) || (sealed.is_none() && !is_known) {
                    continue;
                }
                let content = sealed.as_ref().and_then(|sealed| self.lease.open(record, sealed));
                if let Err(failure) = self.copy(record, content, issued).await {
                    tracing::error!(error = failure.message, "what the replicas share cannot be stored here");
                }
            }
            self.seen = Some(records);
        }
        Ok(is_known)
    }

    async fn copy(
        &self,
        record: Record,
        content: Option<Secret>,
        issued: &Notify,
    ) -> Result<(), IssuanceError> {
        if record != Record::Certificate {
            return self.store.copy(self.acme, record, content).await;
        }
        let Some(pem) = content else { return Ok(()) };
        if !certificate::is_newer(self.acme, &pem) {
            return Ok(());
        }
        self.store.copy(self.acme, record, Some(pem)).await?;
        tracing::info!("another replica has got a certificate");
        issued.notify_one();
        Ok(())
    }

    /// Brings this replica, which has the lease now, and the engine to the same records. What the
    /// engine does not have comes from the folder: `[shared]` may be new, or the engine has lost
    /// it.
    async fn adopt(&mut self, issued: &Notify) {
        // An error is ignored: the lease is lost then.
        let Ok(is_known) = self.look(issued).await else { return };
        let seen = self.seen.clone().unwrap_or_default();
        for (record, sealed) in Record::ALL.into_iter().zip(&seen) {
            let is_wanted = match record {
                Record::Account | Record::Certificate => sealed.is_none(),
                Record::Order | Record::Renewal => !is_known,
            };
            if !is_wanted || (record == Record::Certificate && !certificate::is_kept(self.acme)) {
                continue;
            }
            match self.store.own(self.acme, record) {
                Ok(Some(content)) => self.lease.write(record, Some(&content)).await,
                Ok(None) => {}
                Err(failure) => tracing::error!("{}", failure.message),
            }
        }
    }
}
