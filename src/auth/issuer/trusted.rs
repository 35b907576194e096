//! One issuer of `[[auth.issuer]]`, and what its tokens are checked for.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::claims;
use super::discovery::Discovery;
use super::flaw::Flaw;
use super::jws::Jws;
use super::keeper::Keeper;
use super::key_set::KeySet;
use super::memory::Remembered;
use super::require::Requirements;
use super::subject;
use crate::auth::hash::{Fingerprint, fingerprint_of};
use crate::auth::person::{Person, Source};
use crate::config::{self, Condition, Wanted};
use crate::header::credentials::MAX_BEARER;
use crate::https::HttpsClient;
use crate::live_file::LiveFile;
use crate::pki::SystemRoots;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// An issuer, with its keys. The keys outlive a reload that does not change where they are.
pub(crate) struct Issuer {
    pub(super) settings: config::Issuer,
    pub(super) name: Arc<str>,
    /// Of the settings, for identity tokens.
    digest: Fingerprint,
    requirements: Requirements,
    /// The groups that rules name.
    wanted: BTreeSet<String>,
    keys: Keys,
}

/// Where the keys are.
enum Keys {
    File(LiveFile<KeySet>),
    Published(Keeper),
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Invalid(Flaw),
    /// The keys cannot be had.
    Unavailable,
}

impl From<Flaw> for Refused {
    fn from(flaw: Flaw) -> Self {
        Self::Invalid(flaw)
    }
}

impl Issuer {
    /// `before` is the issuer of this name until now.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(super) fn build(
        settings: &config::Issuer,
        wanted: &BTreeSet<String>,
        system: &SystemRoots,
        before: Option<&Issuer>,
    ) -> Result<Self, Problems> {
        let requirements = Requirements::new(settings).map_err(|claim| {
            let message = format!("auth.issuer.require: the value for {claim} has too many stars; use fewer");
            Problem::new(&settings.place, message)
        })?;
        let keys = match &settings.keys {
            Some(path) => Keys::File(open(path)?),
            None => Keys::Published(keeper(settings, system, before)?),
        };
        Ok(Self {
            settings: settings.clone(),
            name: settings.name.as_str().into(),
            digest: digest(settings),
            requirements,
            wanted: wanted.clone(),
            keys,
        })
    }

    /// Changes with the settings: identity tokens end with it. The files that they name do not
    /// count, so that replicas may have them elsewhere.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }

    /// Checks everything about a token. Waits for keys if it names one that is not known.
    pub(super) async fn verify(&self, token: &Secret, now: SystemTime) -> Result<Remembered, Refused> {
        if token.expose().len() > MAX_BEARER {
            return Err(Flaw::Long.into());
        }
        let jws = Jws::parse(token.expose())?;
        // Only somebody with a real token learns what is wrong with its claims.
        let keys = self.verify_signature(&jws).await?;
        let config::Issuer { url, audience, .. } = &self.settings;
        let expires = claims::check(&jws.claims, url, audience, now)?;
        self.requirements.check(&jws.claims)?;
        let person = Person {
            user: subject::user(&self.settings, &jws.claims)?,
            groups: subject::groups(&self.settings, &jws.claims, &self.wanted)?,
            binding: self.digest,
            source: Source::Issuer(Arc::clone(&self.name)),
        };
        Ok(Remembered { issuer: Arc::clone(&self.name), person, expires, keys: keys.fingerprint() })
    }

    /// Whether the keys of now are the set with this fingerprint.
    pub(super) fn has_keys(&self, fingerprint: Fingerprint) -> bool {
        self.keys().is_some_and(|keys| keys.fingerprint() == fingerprint)
    }

    /// Whoever keeps the keys, unless they are in a file.
    pub(super) fn keeper(&self) -> Option<&Keeper> {
        match &self.keys {
            Keys::Published(keeper) => Some(keeper),
            Keys::File(_) => None,
        }
    }

    /// What `check` tells about the keys: asked now, of the issuer itself.
    pub(super) async fn probe(&self) -> Result<String, String> {
        let count = match &self.keys {
            Keys::File(file) => {
                file.current().map(|keys| keys.len()).map_err(|_| "its keys cannot be read".to_owned())
            }
            Keys::Published(keeper) => keeper.probe().await.map_err(|error| error.to_string()),
        };
        count.map(|count| match count {
            1 => "1 key".to_owned(),
            count => format!("{count} keys"),
        })
    }

    async fn verify_signature(&self, jws: &Jws<'_>) -> Result<Arc<KeySet>, Refused> {
        if let Some(keys) = self.keys() {
            match (keys.verify(jws), &self.keys) {
                (Ok(()), _) => return Ok(keys),
                (Err(Flaw::UnknownKey), Keys::Published(_)) => {}
                (Err(flaw), _) => return Err(flaw.into()),
            }
        }
        let Keys::Published(keeper) = &self.keys else { return Err(Refused::Unavailable) };
        let keys = keeper.fresh_keys().await.map_err(|_| Refused::Unavailable)?;
        keys.verify(jws)?;
        Ok(keys)
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        match &self.keys {
            Keys::File(file) => file.current().ok(),
            Keys::Published(keeper) => keeper.keys(),
        }
    }
}

fn open(path: &Path) -> Result<LiveFile<KeySet>, Problems> {
    let parse = |path: &Path, text: &[u8]| {
        KeySet::parse(text)
            .map_err(|bad| vec![Problem::at(path, format_args!("the set of keys cannot be used: {bad}"))])
    };
    LiveFile::open(path, "set of keys", "copy the issuer's set of keys there", Box::new(parse))
}

fn keeper(
    settings: &config::Issuer,
    system: &SystemRoots,
    before: Option<&Issuer>,
) -> Result<Keeper, Problems> {
    let client = HttpsClient::new(settings.ca.as_deref(), "auth.issuer.ca", system)?;
    let mut keeper = Keeper::new(&settings.name, Discovery::new(client, &settings.url));
    let is_there =
        |before: &&Issuer| before.settings.url == settings.url && before.settings.ca == settings.ca;
    if let Some(before) = before.filter(is_there).and_then(Issuer::keeper) {
        keeper.take_over(before);
    }
    Ok(keeper)
}

fn digest(settings: &config::Issuer) -> Fingerprint {
    let config::Issuer { name, url, audience, require, user, groups, login_ttl, .. } = settings;
    let mut parts = vec![name.clone(), url.clone(), user.to_string()];
    parts.push(groups.as_ref().map(ToString::to_string).unwrap_or_default());
    parts.push(login_ttl.as_millis().to_string());
    parts.push(audience.len().to_string());
    parts.extend(audience.iter().cloned());
    for (claim, Condition(values)) in require {
        parts.extend([claim.to_string(), values.len().to_string()]);
        parts.extend(values.iter().map(|value| match value {
            Wanted::Text(text) => format!("text {text}"),
            Wanted::Flag(flag) => flag.to_string(),
            Wanted::Number(number) => number.to_string(),
        }));
    }
    fingerprint_of(parts.iter().map(String::as_bytes))
}
