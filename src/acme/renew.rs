//! The loop that renews one certificate.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::directory::Directory;
use super::error::IssuanceError;
use super::store::{Renewal, Store};
use super::{account, certificate, order, schedule, suggestion, task};
use crate::config::Acme;
use crate::pki::{SystemRoots, date, span};
use crate::tls::Challenges;

/// How often the wall clock is read: it may have been set, or the machine may have been suspended.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Renews the certificate of one version of the settings. `keep_delay` keeps the delay after an
/// earlier failure; without it, as after a change of the settings, a retry is due at once.
pub(super) async fn renew(
    acme: &Acme,
    store: &Rc<Store>,
    keep_delay: bool,
    challenges: &Arc<Challenges>,
    issued: &Notify,
) -> Infallible {
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
                let known = suggestion::follow(acme, store, known).await;
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
            store.forget_order().await;
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
    let (from, until) = match certificate::validate(acme, &pem, now) {
        Ok(validity) => validity,
        Err(unusable) => {
            store.forget_order().await;
            return Err(unusable);
        }
    };
    store.install(pem).await?;
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
