//! The directory's own word on when to renew (ACME renewal information, RFC 9773).

use std::rc::Rc;
use std::time::Duration;

use instant_acme::{Account, Error};
use time::OffsetDateTime;

use super::certificate;
use super::directory::Directory;
use super::error::IssuanceError;
use super::schedule::{self, Window};
use super::store::{Renewal, Store};
use super::task;
use crate::config::Acme;
use crate::pki::{SystemRoots, date};

/// When to ask again after no answer (RFC 9773 section 4.3.3), and at most how often otherwise.
const AFTER_FAILURE: Duration = Duration::from_hours(6);
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);

/// Returns when the directory is to be asked, if it is at all: only about a certificate that it has
/// issued. A time so late that it must come from a wrong clock means now.
pub(super) fn next_question(renewal: Option<&Renewal>, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let renewal = renewal.filter(|renewal| renewal.failures == 0)?;
    Some(renewal.ask.filter(|&ask| ask <= now + LONGEST).unwrap_or(now))
}

/// Asks the directory when to renew the certificate on the disk, and moves `renewal` there. Without
/// an answer it stays where it is.
pub(super) async fn follow(acme: &Acme, store: &Rc<Store>, mut renewal: Renewal) -> Renewal {
    let (asked, state) = (acme.clone(), store.clone());
    let answered = task::run(async move { ask(&asked, &state).await }).await;
    let now = OffsetDateTime::now_utc();
    let pause = match &answered {
        Ok(Some(answer)) => answer.pause.clamp(SHORTEST, LONGEST),
        _ => AFTER_FAILURE,
    };
    match answered {
        Ok(Some(answer)) => {
            let issued = *renewal.issued.get_or_insert(now);
            // A time chosen earlier stays, so that it is not chosen until it is early.
            let chosen = renewal.ask.map(|_| renewal.next);
            if let Some(next) =
                schedule::suggested(&answer.window, answer.validity, issued, chosen, schedule::random())
                && next != renewal.next
            {
                let why = answer.explanation.as_deref().unwrap_or("none given");
                tracing::info!(
                    renewal = date(next),
                    explanation = why,
                    "the directory suggests when to renew"
                );
                renewal.next = next;
            }
        }
        // Not every directory has this.
        Ok(None) => {}
        Err(failure) => {
            tracing::warn!(
                error = failure.message,
                renewal = date(renewal.next),
                "{} does not say when to renew; the renewal stays where it is",
                acme.directory
            );
        }
    }
    renewal.ask = Some(now + pause);
    renewal
}

struct Answer {
    window: Window,
    /// Of the certificate on the disk.
    validity: (OffsetDateTime, OffsetDateTime),
    /// The URL of a page for people.
    explanation: Option<String>,
    /// How long the directory wants to be left alone.
    pause: Duration,
}

/// `None` if the directory or the certificate does not support it.
async fn ask(acme: &Acme, store: &Store) -> Result<Option<Answer>, IssuanceError> {
    let (Some(kept), Some(validity)) = (store.account(acme)?, certificate::validity(acme)) else {
        return Ok(None);
    };
    let Some(id) = certificate::identifier(acme) else { return Ok(None) };
    let directory = Directory::new(acme, &SystemRoots::default())?;
    let account = Account::builder_with_http(Box::new(directory)).from_credentials(kept.credentials).await?;
    match account.renewal_info(&id).await {
        Ok((info, pause)) => {
            let window = Window { start: info.suggested_window.start, end: info.suggested_window.end };
            Ok(Some(Answer { window, validity, explanation: info.explanation_url, pause }))
        }
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
