//! Why an attempt ended without a certificate, in words for the operator.

use std::error::Error as _;
use std::time::{Duration, Instant, SystemTime};

use instant_acme::{Error, Problem};
use time::OffsetDateTime;

use crate::config::Problems;

/// No directory explains itself at greater length than this many characters.
const LONGEST: usize = 2000;

/// What went wrong, and when the directory wants to hear of us again.
#[derive(Debug)]
pub(super) struct Failure {
    /// On one line.
    pub(super) message: String,
    retry_after: Option<SystemTime>,
}

impl Failure {
    pub(super) fn new(message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().take(LONGEST);
        let message = message.map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { message, retry_after: None }
    }

    /// The same, with what the directory said in `Retry-After` if it did.
    pub(super) fn asked_to_wait(self, retry_after: Option<SystemTime>) -> Self {
        Self { retry_after: retry_after.or(self.retry_after), ..self }
    }

    /// How long the directory wants to be left alone from `now` on.
    pub(super) fn wait(&self, now: OffsetDateTime) -> Option<Duration> {
        self.retry_after?.duration_since(SystemTime::from(now)).ok()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let retry_after = match &error {
            Error::Timeout(Some(at)) => {
                Some(SystemTime::now() + at.saturating_duration_since(Instant::now()))
            }
            _ => None,
        };
        let failure = Self::new(match &error {
            Error::Api(problem) => explain(problem),
            _ => {
                let causes = std::iter::successors(error.source(), |cause| (*cause).source());
                causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
            }
        });
        failure.asked_to_wait(retry_after)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::new(problems.0.first().map(ToString::to_string).unwrap_or_default())
    }
}

/// The directory's own words.
pub(super) fn explain(problem: &Problem) -> String {
    let text = problem.to_string();
    text.strip_prefix("API error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_speaks_in_its_own_words_on_one_line() {
        let text = r#"{"type": "urn:ietf:params:acme:error:dns", "detail": "no\nA record", "status": 400}"#;
        let failure = Failure::from(Error::Api(serde_json::from_str(text).unwrap()));
        assert_eq!(failure.message, "no A record (urn:ietf:params:acme:error:dns)");
        assert_eq!(failure.wait(OffsetDateTime::now_utc()), None);
        assert_eq!(Failure::new("x".repeat(9000)).message.len(), LONGEST);
    }

    #[test]
    fn what_a_directory_asks_for_is_how_long_to_wait() {
        let now = OffsetDateTime::now_utc();
        let asked = SystemTime::from(now) + Duration::from_secs(90);
        let failure = Failure::new("busy").asked_to_wait(Some(asked));
        assert_eq!(failure.asked_to_wait(None).wait(now), Some(Duration::from_secs(90)));
        let later = Error::Timeout(Some(Instant::now() + Duration::from_secs(900)));
        assert!(Failure::from(later).wait(now).unwrap() > Duration::from_secs(800));
    }
}
