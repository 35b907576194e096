//! Why a directory cannot be asked.

use std::io;

use crate::ldap::{Malformed, Outcome};

/// The directory has said nothing about the password. Displays for the log, and holds no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No server could be reached: all of them, with the reasons.
    #[error("{0}")]
    Unreachable(String),
    #[error("{server}: {cause}")]
    Broken { server: String, cause: Broken },
    #[error("{server}: the search account is refused: {}", words(.outcome))]
    Account { server: String, outcome: Outcome },
    #[error("the search account was refused, and is tried again later")]
    AccountRefused,
    #[error("{server}: the search below {base} fails: {}", words(.outcome))]
    Search { server: String, base: String, outcome: Outcome },
    #[error("{server}: the login of a user fails: {}", words(.outcome))]
    Bind { server: String, outcome: Outcome },
    #[error("{server}: it did not answer within auth.ldap.timeout")]
    Late { server: String },
}

/// Why a connection can no longer be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it answers with more than {} KiB", .0 >> 10)]
    TooLong(usize),
    #[error("it closes the connection: {}", words(.0))]
    Closed(Outcome),
}

/// The result code and the text beside it, as far as it fits into a line.
pub(super) fn words(outcome: &Outcome) -> String {
    const LONGEST: usize = 200;
    let Outcome { code, text } = outcome;
    let name = match code {
        1 => " (operationsError)",
        3 => " (timeLimitExceeded)",
        4 => " (sizeLimitExceeded)",
        8 => " (strongerAuthRequired)",
        10 => " (referral)",
        13 => " (confidentialityRequired)",
        32 => " (noSuchObject)",
        48 => " (inappropriateAuthentication)",
        49 => " (invalidCredentials)",
        50 => " (insufficientAccessRights)",
        51 => " (busy)",
        52 => " (unavailable)",
        53 => " (unwillingToPerform)",
        _ => "",
    };
    let text: String = text.trim_end_matches('\0').chars().take(LONGEST).collect();
    let text = text.escape_debug();
    if text.clone().next().is_none() {
        format!("code {code}{name}")
    } else {
        format!("code {code}{name}, {text}")
    }
}
