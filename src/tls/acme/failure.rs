//! Why an attempt ended without a certificate, in words for the operator.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

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

    /// The same, with what the directory said in `Retry-After`.
    pub(super) fn asked_to_wait(self, retry_after: Option<SystemTime>) -> Self {
        Self { retry_after, ..self }
    }

    /// How long the directory wants to be left alone from `now` on.
    pub(super) fn wait(&self, now: OffsetDateTime) -> Option<Duration> {
        self.retry_after?.duration_since(SystemTime::from(now)).ok()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(match &error {
            Error::Api(problem) => explain(problem),
            _ => {
                let causes = std::iter::successors(error.source(), |cause| (*cause).source());
                causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
            }
        })
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
