//! A certificate from a directory that speaks ACME (RFC 8555): the first one, and each next one in time.
//!
//! [`keep`] is the loop. `schedule` says when, `order` takes one order from its first step to its last,
//! `store` is the state on the disk, and `certificate` what is served of it.

mod account;
mod certificate;
mod directory;
mod error;
mod order;
mod schedule;
mod store;

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

pub(crate) use self::certificate::serve;
use self::directory::Directory;
use self::error::IssuanceError;
use self::store::{Renewal, Store};
use crate::config::Acme;
use crate::pki::{SystemRoots, date, span};
use crate::tls::Challenges;

/// How often the wall clock is looked at: it may have been set, or the machine may have slept.
const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Keeps a certificate as the newest of `settings` want it, for as long as there are any to come. Tells `issued` of
/// each new one, when it is on the disk. Belongs on a runtime that runs local tasks, and never blocks it for longer than a look
/// at a file takes.
pub(crate) async fn keep(
    mut settings: watch::Receiver<Option<Acme>>,
    challenges: Arc<Challenges>,
    issued: Rc<Notify>,
) {
    let mut keep_delay = true;
    loop {
        let now = settings.borrow_and_update().clone();
        // An order that is dropped half way is on the disk, and goes on if it is still wanted.
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

/// `keep_delay` tells whether an attempt that failed is to be waited for; not when its cause may have been changed.
async fn renew(acme: &Acme, keep_delay: bool, challenges: &Arc<Challenges>, issued: &Notify) -> Infallible {
    let store = Rc::new(Store::new(&acme.state));
    // What is on the disk counts at the start; later it is what this process knows, even if it could not write it.
    let mut renewal = store.renewal().filter(|renewal| renewal.matches(acme));
    if let Some(failed) = renewal.as_mut().filter(|renewal| renewal.failures > 0 && !keep_delay) {
        failed.next = OffsetDateTime::now_utc();
    }
    loop {
        let now = OffsetDateTime::now_utc();
        let wait = certificate::next_attempt(acme, renewal.as_ref(), now) - now;
        if wait.is_positive() {
            sleep(wait.unsigned_abs().min(CLOCK_CHECK)).await;
            continue;
        }
        let failures = renewal.as_ref().map_or(0, |renewal| renewal.failures).saturating_add(1);
        let known = match attempt_in_task(acme, &store, failures, challenges).await {
            Ok(next) => Renewal::issued(acme, next),
            Err(failure) => failed(acme, failure, failures),
        };
        store.save_renewal(&known).await;
        if known.failures == 0 {
            // Only now: until the renewal is on the disk, the order is what a new process goes on with.
            store.forget_order();
            tracing::info!(names = acme.names.join(", "), renewal = date(known.next), "a new certificate");
            issued.notify_one();
        }
        renewal = Some(known);
    }
}

/// Makes an attempt in a task of its own, so that a panic of the library is a failure like any other.
async fn attempt_in_task(
    acme: &Acme,
    store: &Rc<Store>,
    failures: u32,
    challenges: &Arc<Challenges>,
) -> Result<OffsetDateTime, IssuanceError> {
    let (acme, store, challenges) = (acme.clone(), store.clone(), challenges.clone());
    let mut task = JoinSet::new();
    task.spawn_local(async move { attempt(&acme, &store, failures, &challenges).await });
    match task.join_next().await {
        Some(Ok(ended)) => ended,
        _ => Err(IssuanceError::new("a fault of tidegate or of its library; the panic stands in the log")),
    }
}

/// Has one certificate made and puts it in its place; tells when the next one is due. If it fails, then as
/// the `failures`th in a row.
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
