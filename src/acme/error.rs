//! Errors of an attempt to obtain a certificate.

use std::time::{Duration, Instant, SystemTime};

use instant_acme::{Error, Problem};
use time::OffsetDateTime;

use crate::problem::{Problems, with_causes};

/// The longest message, in characters.
const LONGEST: usize = 2000;

/// Why an attempt ended without a certificate, and when the directory allows the next one.
#[derive(Debug)]
pub(super) struct IssuanceError {
    /// The message for the operator, on one line.
    pub(super) message: String,
    retry_after: Option<SystemTime>,
    /// The [`kind`] of the directory's problem document.
    kind: Option<String>,
}

impl IssuanceError {
    pub(super) fn new(message: impl AsRef<str>) -> Self {
        let message = message.as_ref().chars().take(LONGEST);
        let message = message.map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { message, retry_after: None, kind: None }
    }

    /// Adds a `Retry-After`, if there is one.
    pub(super) fn with_retry_after(self, retry_after: Option<SystemTime>) -> Self {
        Self { retry_after: retry_after.or(self.retry_after), ..self }
    }

    /// Returns whether the directory answered with a problem of this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Appends advice to the message.
    pub(super) fn with_advice(self, advice: &str) -> Self {
        Self { message: format!("{}; {advice}", self.message), ..self }
    }

    /// Returns how long after `now` the directory allows the next attempt.
    pub(super) fn wait(&self, now: OffsetDateTime) -> Option<Duration> {
        self.retry_after?.duration_since(SystemTime::from(now)).ok()
    }
}

impl From<Error> for IssuanceError {
    fn from(error: Error) -> Self {
        let retry_after = match &error {
            Error::Timeout(Some(at)) => {
                Some(SystemTime::now() + at.saturating_duration_since(Instant::now()))
            }
            _ => None,
        };
        let (message, kind) = match &error {
            Error::Api(problem) => (explain(problem), kind(problem).map(str::to_owned)),
            _ => (with_causes(&error), None),
        };
        // rustls' error for a directory whose root is unknown.
        let hint = if message.contains("UnknownIssuer") {
            "; for a private directory, set acme.ca to its root certificate"
        } else {
            ""
        };
        Self { retry_after, kind, ..Self::new(message + hint) }
    }
}

impl From<Problems> for IssuanceError {
    fn from(problems: Problems) -> Self {
        Self::new(problems.0.first().map(ToString::to_string).unwrap_or_default())
    }
}

/// Returns the type of an ACME problem (RFC 8555 section 6.7) without its prefix.
pub(super) fn kind(problem: &Problem) -> Option<&str> {
    problem.r#type.as_deref()?.strip_prefix("urn:ietf:params:acme:error:")
}

/// Formats a problem document.
pub(super) fn explain(problem: &Problem) -> String {
    let text = problem.to_string();
    text.strip_prefix("API error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_directory_is_kept_on_one_line() {
        let text = r#"{"type": "urn:ietf:params:acme:error:dns", "detail": "no\nA record", "status": 400}"#;
        let failure = IssuanceError::from(Error::Api(serde_json::from_str(text).unwrap()));
        assert_eq!(failure.message, "no A record (urn:ietf:params:acme:error:dns)");
        assert_eq!(failure.wait(OffsetDateTime::now_utc()), None);
        assert_eq!(IssuanceError::new("x".repeat(9000)).message.len(), LONGEST);
    }

    #[test]
    fn a_refusal_is_known_by_its_type() {
        let text = r#"{"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "who?"}"#;
        let failure = IssuanceError::from(Error::Api(serde_json::from_str(text).unwrap()));
        assert!(failure.is("accountDoesNotExist") && !failure.is("unauthorized"));
        assert!(!IssuanceError::new("accountDoesNotExist").is("accountDoesNotExist"));
        let advised = failure.with_advice("ask");
        assert!(advised.is("accountDoesNotExist") && advised.message.ends_with("; ask"), "{advised:?}");
    }

    #[test]
    fn an_error_does_not_say_its_cause_twice() {
        let missing = serde_json::from_str::<Problem>("[").unwrap_err();
        let cause = missing.to_string();
        let message = IssuanceError::from(Error::Json(missing)).message;
        assert_eq!(message.matches(&cause).count(), 1, "{message}");
        let other = std::io::Error::other("no route");
        assert_eq!(IssuanceError::from(Error::Other(other.into())).message, "no route");
    }

    #[test]
    fn retry_after_is_how_long_to_wait() {
        let now = OffsetDateTime::now_utc();
        let asked = SystemTime::from(now) + Duration::from_secs(90);
        let failure = IssuanceError::new("busy").with_retry_after(Some(asked));
        assert_eq!(failure.with_retry_after(None).wait(now), Some(Duration::from_secs(90)));
        let later = Error::Timeout(Some(Instant::now() + Duration::from_secs(900)));
        assert!(IssuanceError::from(later).wait(now).unwrap() > Duration::from_secs(800));
    }
}
