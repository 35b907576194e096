//! ID tokens of issuers that the operator trusts, such as a CI system: OpenID Connect Core,
//! section 2, and RFC 7519.
//!
//! `jws` reads a token, `key_set` checks its signature, `claims` its dates and its audience,
//! `require` what the operator asks for, and `subject` makes a user of it. `keeper` has the keys,
//! which `discovery` fetches.

mod claims;
mod discovery;
mod flaw;
mod jws;
mod keeper;
mod key_set;
mod memory;
mod require;
mod subject;
mod trusted;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::task::JoinSet;

use self::memory::{Memory, Remembered};
use self::trusted::Refused;
use super::person::Person;
use crate::config;
use crate::pki::SystemRoots;
use crate::problem::Problems;
use crate::secret::Secret;

pub(crate) use self::trusted::Issuer;

/// The issuers of `[[auth.issuer]]`.
pub(crate) struct Issuers {
    all: Vec<Arc<Issuer>>,
    wanted: BTreeSet<String>,
    memory: Arc<Memory>,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusedToken {
    /// The issuer is not one of ours.
    Untrusted,
    /// The reason, which names a claim and never its value; `issuer` is the name in the settings.
    Invalid { issuer: Arc<str>, reason: String },
    /// The keys of the issuer cannot be had.
    Unavailable { issuer: Arc<str> },
}

/// A token that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The binding is the digest of the issuer's settings.
    pub(crate) person: Person,
    /// How long an identity token for this login lasts; zero means that there is none.
    pub(crate) login_ttl: Duration,
    /// Whether it was verified just now, and not remembered.
    pub(crate) is_new: bool,
}

impl Issuers {
    /// `wanted` are the groups that rules name, such as `gitlab:ops`. Keys are taken over from
    /// `before` where the settings are the same. Connects to nothing.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(crate) fn build(
        settings: &[config::Issuer],
        wanted: &BTreeSet<String>,
        system: &SystemRoots,
        before: Option<&Issuers>,
    ) -> Result<Issuers, Problems> {
        let mut problems = Problems::default();
        let mut all = Vec::new();
        for settings in settings {
            let before = before.and_then(|before| before.named(&settings.name)).map(Arc::as_ref);
            all.extend(problems.take(Issuer::build(settings, wanted, system, before)).map(Arc::new));
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        // What was verified may be judged otherwise by other settings.
        let same = before.filter(|before| {
            before.wanted == *wanted && before.all.iter().map(|issuer| &issuer.settings).eq(settings)
        });
        let memory = same.map_or_else(Arc::default, |before| Arc::clone(&before.memory));
        Ok(Self { all, wanted: wanted.clone(), memory })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether this is a token for them to judge, if there are any. Which of them, and whether any,
    /// [`Self::verify`] says.
    pub(crate) fn take(&self, text: &Secret) -> bool {
        !self.all.is_empty() && Self::is_token(text)
    }

    /// Whether this is a JWS whose payload has an `iss`, whoever that is. Such a text is never sent
    /// on as a password.
    pub(crate) fn is_token(text: &Secret) -> bool {
        jws::claimed_issuer(text.expose()).is_some()
    }

    /// Who the token is for. Waits for keys for 3 s at most.
    pub(crate) async fn verify(&self, token: &Secret, now: SystemTime) -> Result<Accepted, RefusedToken> {
        if let Some((issuer, remembered)) = self.remembered(token, now) {
            return Ok(accepted(issuer, remembered, false));
        }
        let issuer = self.issuer_of(token).ok_or(RefusedToken::Untrusted)?;
        match issuer.verify(token, now).await {
            Ok(verified) => {
                self.memory.insert(token, verified.clone());
                Ok(accepted(issuer, verified, true))
            }
            Err(Refused::Invalid(flaw)) => {
                Err(RefusedToken::Invalid { issuer: Arc::clone(&issuer.name), reason: flaw.to_string() })
            }
            Err(Refused::Unavailable) => Err(RefusedToken::Unavailable { issuer: Arc::clone(&issuer.name) }),
        }
    }

    /// The issuer of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.all.iter().find(|issuer| *issuer.name == *name)
    }

    /// Fetches keys at intervals, for as long as the future is polled. Never ends.
    pub(crate) async fn keep_keys(&self) {
        let mut tasks = JoinSet::new();
        for keeper in self.all.iter().filter_map(|issuer| issuer.keeper()) {
            tasks.spawn(keeper.clone().keep());
        }
        pending().await
    }

    /// Asks each issuer for its keys now: its name, and how many keys it has or why there are none.
    pub(crate) async fn probe(&self) -> Vec<(String, Result<String, String>)> {
        let mut answers = Vec::new();
        for issuer in &self.all {
            answers.push((issuer.name.to_string(), issuer.probe().await));
        }
        answers
    }

    fn remembered(&self, token: &Secret, now: SystemTime) -> Option<(&Arc<Issuer>, Remembered)> {
        let remembered = self.memory.get(token)?;
        let issuer = self.named(&remembered.issuer)?;
        let holds =
            claims::expect_current(remembered.expires, now).is_ok() && issuer.has_keys(remembered.keys);
        holds.then_some((issuer, remembered))
    }

    /// The issuer that a token claims to be from: its URL byte by byte.
    fn issuer_of(&self, token: &Secret) -> Option<&Arc<Issuer>> {
        let Value::String(url) = jws::claimed_issuer(token.expose())? else { return None };
        self.all.iter().find(|issuer| issuer.settings.url == url)
    }
}

fn accepted(issuer: &Issuer, Remembered { person, .. }: Remembered, is_new: bool) -> Accepted {
    Accepted { person, login_ttl: issuer.settings.login_ttl, is_new }
}

#[cfg(test)]
mod tests;
