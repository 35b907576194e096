//! Obtains and renews a certificate from an ACME directory (RFC 8555).
//!
//! [`keep`] is the loop. `schedule` decides when, unless the directory does (`suggestion`). `order`
//! processes one order, `store` keeps the state on the disk, and `certificate` decides what is
//! served.

mod account;
mod binding;
mod certificate;
mod directory;
mod error;
mod order;
mod schedule;
mod store;
mod suggestion;
mod task;

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

pub(crate) use self::certificate::{is_temporary, serve};
use self::directory::Directory;
use self::error::IssuanceError;
use self::store::{Renewal, Store};
use crate::config::Acme;
use crate::pki::{SystemRoots, date, span};
use crate::tls::Challenges;

/// How often the wall clock is read: it may have been set, or the machine may have been suspended.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

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

/// Keeps the certificate of the latest `settings` renewed until their sender is dropped. Notifies
/// `issued` when a new certificate is on the disk. Requires a runtime for local tasks, and blocks
/// it only to read small files.
pub(crate) async fn keep(
    mut settings: watch::Receiver<Option<Acme>>,
    challenges: Arc<Challenges>,
    issued: Rc<Notify>,
) {
    let mut keep_delay = true;
    loop {
        let now = settings.borrow_and_update().clone();
        // A dropped attempt leaves its order on the disk; it is resumed if it still fits the
        // settings.
        let changed = match &now {
            None => settings.changed().await,
            Some(acme) => tokio::select! {
                changed = settings.changed() => changed,
                never = renew(acme, keep_delay, &challenges, &issued) => match never {},
            },
        };
        if changed.is_err() {
            return;
        }
        keep_delay = false;
    }
}

/// Renews the certificate of one version of the settings. `keep_delay` keeps the delay after an
/// earlier failure; without it, as after a change of the settings, a retry is due at once.
async fn renew(acme: &Acme, keep_delay: bool, challenges: &Arc<Challenges>, issued: &Notify) -> Infallible {
    let store = Rc::new(Store::new(&acme.state));
    // The file is read only here, so that the loop also works if it cannot be written.
    let mut renewal = store.renewal().filter(|renewal| renewal.matches(acme));
    if let Some(failed) = renewal.as_mut().filter(|renewal| renewal.failures > 0 && !keep_delay) {
        failed.next = OffsetDateTime::now_utc();
    }
    loop {
        let now = OffsetDateTime::now_utc();
        let wait = certificate::next_attempt(acme, renewal.as_ref(), now) - now;
        if wait.is_positive() {
            let question = suggestion::next_question(renewal.as_ref(), now);
            if let Some(known) = renewal.take_if(|_| question.is_some_and(|question| question <= now)) {
                let known = suggestion::follow(acme, &store, known).await;
                store.save_renewal(&known).await;
                renewal = Some(known);
                continue;
            }
            let wait = question.map_or(wait, |question| wait.min(question - now));
            sleep(wait.unsigned_abs().min(CLOCK_CHECK)).await;
            continue;
        }
        let failures = renewal.as_ref().map_or(0, |renewal| renewal.failures).saturating_add(1);
        let (wanted, state, answers) = (acme.clone(), store.clone(), challenges.clone());
        let attempt = async move { attempt(&wanted, &state, failures, &answers).await };
        let known = match task::run(attempt).await {
            Ok(next) => Renewal::issued(acme, next),
            Err(failure) => failed(acme, failure, failures),
        };
        store.save_renewal(&known).await;
        if known.failures == 0 {
            // Only after the renewal is on the disk: until then a new process resumes the order.
            store.forget_order();
            tracing::info!(names = acme.names.join(", "), renewal = date(known.next), "certificate issued");
            issued.notify_one();
        }
        renewal = Some(known);
    }
}

/// Obtains and installs one certificate. Returns when its renewal is due. `failures` is the number
/// of consecutive failures if this attempt fails.
async fn attempt(
    acme: &Acme,
    store: &Store,
    failures: u32,
    challenges: &Arc<Challenges>,
) -> Result<OffsetDateTime, IssuanceError> {
    store.begin(acme, failures).await?;
    let directory = Directory::new(acme, &SystemRoots::default())?;
    let obtained = async {
        let account = account::open(acme, store, &directory).await?;
        order::obtain(acme, store, &account, challenges).await
    };
    let pem = match obtained.await {
        Ok(pem) => pem,
        Err(failure) => {
            let failure = account::review(acme, store, failure).await;
            return Err(failure.with_retry_after(directory.retry_after()));
        }
    };
    let now = OffsetDateTime::now_utc();
    let (from, until) = certificate::validate(acme, &pem, now).inspect_err(|_| store.forget_order())?;
    store.install(&acme.files().certificate, pem).await?;
    Ok(schedule::renewal(from, until, now, schedule::random()))
}

/// Logs a failure and schedules the next attempt.
fn failed(acme: &Acme, failure: IssuanceError, failures: u32) -> Renewal {
    let now = OffsetDateTime::now_utc();
    let validity = certificate::validity(acme);
    let next = now + schedule::retry_delay(failures, validity, now, failure.wait(now), schedule::random());
    let expiry = validity.map_or_else(|| "there is none".to_owned(), |(_, until)| date(until));
    tracing::error!(
        error = failure.message,
        failures,
        certificate_expires = expiry,
        next_try = format!("in {}", span(next - now)),
        "no certificate from {}",
        acme.directory
    );
    Renewal::failed(acme, failures, failure.message, next)
}
