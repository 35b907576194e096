//! The contents of the files, as JSON.

use std::collections::BTreeSet;

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::acme::schedule;
use crate::config::Acme;
use crate::secret::Secret;

/// The account with one directory.
#[derive(Serialize, Deserialize)]
pub(in crate::acme) struct AccountRecord {
    pub(in crate::acme) contact: Vec<String>,
    /// The `acme.eab_kid` that it was registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eab_kid: Option<String>,
    pub(in crate::acme) credentials: AccountCredentials,
}

/// An unfinished order and the key for its certificate.
#[derive(Serialize, Deserialize)]
pub(in crate::acme) struct OrderRecord {
    directory: String,
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    pub(in crate::acme) url: String,
    /// PEM.
    #[serde(with = "text")]
    pub(in crate::acme) key: Secret,
}

/// The result of the last attempt, and when the next one is due.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::acme) struct Renewal {
    directory: String,
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// The number of consecutive failures.
    pub(in crate::acme) failures: u32,
    /// The error of the last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(in crate::acme) next: OffsetDateTime,
    /// When the certificate arrived, by this machine's clock.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) issued: Option<OffsetDateTime>,
    /// When the directory is next asked when to renew. `None` before the first time.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(in crate::acme) ask: Option<OffsetDateTime>,
}

impl AccountRecord {
    pub(in crate::acme) fn new(acme: &Acme, credentials: AccountCredentials) -> Self {
        let eab_kid = acme.eab.as_ref().map(|eab| eab.kid.clone());
        Self { contact: acme.contact.clone(), eab_kid, credentials }
    }

    /// Whether it was registered with another `acme.eab_kid` than that of the settings, or without.
    pub(in crate::acme) fn is_bound_elsewhere(&self, acme: &Acme) -> bool {
        acme.eab.as_ref().is_some_and(|eab| self.eab_kid.as_ref() != Some(&eab.kid))
    }
}

impl OrderRecord {
    pub(in crate::acme) fn new(acme: &Acme, url: &str, key: Secret) -> Self {
        Self {
            directory: acme.directory.clone(),
            names: acme.names.clone(),
            profile: acme.profile.clone(),
            url: url.to_owned(),
            key,
        }
    }

    pub(in crate::acme) fn matches(&self, acme: &Acme) -> bool {
        is_same(&self.directory, &self.names, &self.profile, acme)
    }
}

impl Renewal {
    /// The record of a running attempt. It remains if the process ends before the attempt does, and
    /// then describes the last of `failures` consecutive failures.
    pub(super) fn in_progress(acme: &Acme, failures: u32) -> Self {
        let error = "still running, or interrupted when tidegate ended".to_owned();
        let now = OffsetDateTime::now_utc();
        Self::failed(acme, failures, error, now + schedule::retry_delay(failures, None, now, None, 0.0))
    }

    /// The record of a certificate that has just arrived.
    pub(in crate::acme) fn issued(acme: &Acme, next: OffsetDateTime) -> Self {
        Self {
            directory: acme.directory.clone(),
            names: acme.names.clone(),
            profile: acme.profile.clone(),
            failures: 0,
            error: None,
            next,
            issued: Some(OffsetDateTime::now_utc()),
            ask: None,
        }
    }

    pub(in crate::acme) fn failed(acme: &Acme, failures: u32, error: String, next: OffsetDateTime) -> Self {
        Self { failures, error: Some(error), issued: None, ..Self::issued(acme, next) }
    }

    pub(in crate::acme) fn matches(&self, acme: &Acme) -> bool {
        is_same(&self.directory, &self.names, &self.profile, acme)
    }
}

/// Compares the names in any order.
fn is_same(directory: &str, names: &[String], profile: &Option<String>, acme: &Acme) -> bool {
    let set = |names: &[String]| BTreeSet::from_iter(names.to_owned());
    directory == acme.directory && set(names) == set(&acme.names) && *profile == acme.profile
}

/// Serializes a secret that is text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, ser};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(secret.expose()).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(|text| Secret::new(text.into_bytes()))
    }
}
