//! Where users come from. Exactly one source judges a login, and which one it is depends on the
//! name alone: to try another one after it would show passwords to a stranger, and double the wrong
//! ones that a directory counts.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::hash::Fingerprint;
use super::htpasswd::{self, Htpasswd};
use super::issuer::Issuers;
use super::judgement::{Attempt, Judgement};
use super::ldap::{Ldap, Unavailable};
use super::person::{Person, Source};
use super::service::Service;
use crate::config;
use crate::engine::Engine;
use crate::live_file::{LiveFile, Unread};
use crate::pki::SystemRoots;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use crate::user::{Groups, User};

/// The sources of one configuration.
pub(crate) struct Sources {
    /// `auth.htpasswd`; `None` if there is no such file.
    pub(crate) file: Option<LiveFile<Htpasswd>>,
    /// `[auth.ldap]` or `[auth.http]`.
    pub(crate) remote: Option<Remote>,
    /// `[[auth.issuer]]`.
    pub(crate) issuers: Issuers,
}

/// A source outside of tidegate.
#[derive(Clone)]
pub(crate) enum Remote {
    /// `[auth.ldap]`.
    Ldap(Arc<Ldap>),
    Http(Arc<Service>),
}

/// Who judges a password.
#[derive(Clone, Copy)]
pub(crate) enum Judge<'a> {
    File(&'a Htpasswd),
    Remote(&'a Remote),
}

static NOBODY: LazyLock<Arc<Htpasswd>> = LazyLock::new(|| Htpasswd::empty().into());

impl Sources {
    /// Opens the file, and connects to nothing. `groups` are those that rules name. What outlives a
    /// reload is taken over from `before`.
    ///
    /// # Errors
    /// Everything that is wrong with the files that the settings name.
    pub(crate) fn build(
        settings: &config::Auth,
        groups: &BTreeSet<String>,
        system: &SystemRoots,
        before: Option<&Sources>,
    ) -> Result<Sources, Problems> {
        let mut problems = Problems::default();
        let file = settings.htpasswd.as_ref();
        let file = file.and_then(|file| problems.take(htpasswd::open(file, settings.legacy_hashes)));
        let remote_before = before.and_then(|before| before.remote.as_ref());
        let queue = settings.hash_queue;
        let ldap = settings.ldap.as_ref().and_then(|ldap| {
            let before = remote_before.and_then(Remote::ldap);
            problems.take(Ldap::build(ldap, queue, settings.cache_ttl, groups, system, before))
        });
        let http = settings.http.as_ref().and_then(|http| {
            let before = remote_before.and_then(Remote::http);
            problems.take(Service::build(http, queue, groups, system, before))
        });
        let issuers_before = before.map(|before| &before.issuers);
        let issuers = problems.take(Issuers::build(&settings.issuers, groups, system, issuers_before));
        let remote = ldap.map(Remote::Ldap).or(http.map(Remote::Http));
        let issuers = issuers.filter(|_| problems.0.is_empty()).ok_or(problems)?;
        Ok(Self { file, remote, issuers })
    }

    /// Why a directory that is new since `before` refuses the account that searches. A directory
    /// that cannot be reached may come back, and refuses nothing.
    pub(crate) async fn refused_account(&self, before: Option<&Sources>) -> Option<Problem> {
        let ldap = self.remote.as_ref().and_then(Remote::ldap)?;
        let before = before.and_then(|before| before.remote.as_ref()).and_then(Remote::ldap);
        ldap.refuses_account(before).await
    }

    /// Counts wrong passwords of a directory together with the replicas that share the engine.
    pub(crate) fn share(&self, engine: &Engine) {
        if let Some(Remote::Ldap(ldap)) = &self.remote {
            ldap.share(engine);
        }
    }

    /// The users of the file as it is now; nobody if there is none.
    ///
    /// # Errors
    /// The file has changed and cannot be read.
    pub(crate) fn listed(&self) -> Result<Arc<Htpasswd>, Unread> {
        match &self.file {
            Some(file) => file.current(),
            None => Ok(NOBODY.clone()),
        }
    }

    /// The same as of the last look at the file.
    pub(crate) fn known(&self) -> Arc<Htpasswd> {
        self.file.as_ref().map_or_else(|| NOBODY.clone(), LiveFile::known)
    }

    /// Whether a source elsewhere calls somebody by the name of a user of the file, whom rules mean
    /// by that name. It depends on how a directory spells the names that clients send.
    pub(crate) fn is_taken(listed: &Htpasswd, user: &User, source: &Source) -> bool {
        *source != Source::Htpasswd && listed.get(user.as_bytes()).is_some()
    }

    /// Whether issuers judge this in place of a password, or nobody: a directory or a service never
    /// sees a token. Where there is only the file, it may be somebody's password.
    pub(crate) fn is_token(&self, password: &Secret) -> bool {
        (self.remote.is_some() || !self.issuers.is_empty()) && Issuers::is_token(password)
    }

    /// The user as their source has them now, for an identity token; `None` if they are no longer
    /// there. `groups` are those at the login, for issuers, who cannot be asked again.
    pub(crate) async fn person(
        &self,
        listed: &Htpasswd,
        user: &User,
        groups: &Groups,
    ) -> Result<Option<Person>, Unavailable> {
        if let Some(name) = user.issuer() {
            let issuer = str::from_utf8(name).ok().and_then(|name| self.issuers.named(name));
            return Ok(issuer.map(|issuer| Person {
                user: user.clone(),
                groups: groups.clone(),
                binding: *issuer.digest(),
                source: Source::Issuer(String::from_utf8_lossy(name).into()),
            }));
        }
        match self.judge(listed, user.as_bytes()) {
            Judge::File(listed) => Ok(listed.person(user.as_bytes())),
            Judge::Remote(Remote::Ldap(ldap)) => ldap.person(user).await,
            Judge::Remote(Remote::Http(_)) => Ok(None),
        }
    }

    /// Who judges the password of the user `name`. `listed` are the users of the file: they never
    /// leave the house. Without another source it judges everybody.
    pub(crate) fn judge<'a>(&'a self, listed: &'a Htpasswd, name: &[u8]) -> Judge<'a> {
        match &self.remote {
            Some(remote) if listed.get(name).is_none() => Judge::Remote(remote),
            _ => Judge::File(listed),
        }
    }
}

impl Judge<'_> {
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::File(_) => Source::Htpasswd,
            Self::Remote(Remote::Ldap(_)) => Source::Ldap,
            Self::Remote(Remote::Http(_)) => Source::Http,
        }
    }
}

impl Remote {
    fn ldap(&self) -> Option<&Arc<Ldap>> {
        if let Self::Ldap(ldap) = self { Some(ldap) } else { None }
    }

    fn http(&self) -> Option<&Arc<Service>> {
        if let Self::Http(service) = self { Some(service) } else { None }
    }

    /// Changes when what it has verified has to be verified again.
    pub(super) fn digest(&self) -> &Fingerprint {
        match self {
            Self::Ldap(ldap) => ldap.digest(),
            Self::Http(service) => service.digest(),
        }
    }

    pub(super) async fn judge(&self, attempt: Attempt) -> Judgement {
        match self {
            Self::Ldap(ldap) => ldap.judge(attempt).await,
            Self::Http(service) => service.judge(attempt).await,
        }
    }
}
