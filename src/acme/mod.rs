//! Obtains and renews a certificate from an ACME directory (RFC 8555).
//!
//! `renew` is the loop. `schedule` decides when, unless the directory does (`suggestion`). `order`
//! processes one order, `store` keeps the state on the disk, and `certificate` decides what is
//! served. Of several replicas with an engine, one has the `lease` and renews; each is a `replica`.

mod account;
mod binding;
mod certificate;
mod directory;
mod error;
mod lease;
mod order;
mod renew;
mod replica;
mod schedule;
mod store;
mod suggestion;
mod task;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use time::OffsetDateTime;
use tokio::sync::{Notify, watch};

pub(crate) use self::certificate::{is_temporary, serve};
use self::renew::renew;
use self::replica::Replica;
use self::store::Store;
use crate::config::Acme;
use crate::engine::Engine;
use crate::tls::Challenges;

/// What is known of the attempts to get a certificate with the settings `acme`; `None` before the
/// first. Reads a small file.
pub(crate) fn standing(acme: &Acme) -> Option<Standing> {
    let renewal = Store::new(&acme.state).renewal().filter(|renewal| renewal.matches(acme))?;
    Some(Standing { succeeded: renewal.failures == 0, next: renewal.next })
}

/// The attempts to get a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Whether the last attempt got one.
    pub succeeded: bool,
    /// When the next one is due.
    pub next: OffsetDateTime,
}

/// What the process has in common with others.
pub(crate) struct Common {
    pub engine: Option<Engine>,
    /// Whether this process is the one that gets certificates. Always true without an engine.
    pub is_holder: Arc<AtomicBool>,
}

/// Keeps the certificate of the latest `settings` renewed until their sender is dropped. Notifies
/// `issued` when a new certificate is on the disk. Requires a runtime for local tasks, and blocks
/// it only to read small files.
pub(crate) async fn keep(
    mut settings: watch::Receiver<Option<Acme>>,
    challenges: Arc<Challenges>,
    issued: Rc<Notify>,
    common: Common,
) {
    let mut keep_delay = true;
    loop {
        let now = settings.borrow_and_update().clone();
        common.is_holder.store(now.is_some() && common.engine.is_none(), Ordering::Relaxed);
        // A dropped attempt leaves its order on the disk; it is resumed if it still fits the
        // settings.
        let changed = match (&now, &common.engine) {
            (None, _) => settings.changed().await,
            (Some(acme), None) => {
                let store = Rc::new(Store::new(&acme.state));
                tokio::select! {
                    changed = settings.changed() => changed,
                    never = renew(acme, &store, keep_delay, &challenges, &issued) => match never {},
                }
            }
            (Some(acme), Some(engine)) => {
                let mut replica = Replica::new(engine, acme, &common.is_holder);
                let changed = tokio::select! {
                    changed = settings.changed() => changed,
                    never = replica.keep(keep_delay, &challenges, &issued) => match never {},
                };
                replica.leave().await;
                changed
            }
        };
        if changed.is_err() {
            return;
        }
        keep_delay = false;
    }
}
