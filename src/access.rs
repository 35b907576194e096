//! Who may do what. Only this module makes a [`Permit`], and no request is forwarded without one.

use crate::config::{AccessRule, AuthMode, Config, Subject};
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::{Operation, Target};
use crate::user::{Groups, User};

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A client without proven identity.
    Anonymous,
    /// One who has proven who they are, and their groups.
    User(User, Groups),
}

/// A user whose name is not UTF-8, and so cannot be the subject of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl Identity {
    /// The subject of a token for this identity: the user's name, or empty for an anonymous client.
    ///
    /// # Errors
    /// The name is not UTF-8. To replace a part of it would make one user of two.
    pub(crate) fn subject(&self) -> Result<&str, NotUtf8> {
        self.user().map_or(Ok(""), |user| user.as_str().ok_or(NotUtf8))
    }

    /// The user; `None` for an anonymous client.
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user, _) => Some(user),
        }
    }

    /// The user's groups, which an anonymous client has none of.
    pub(crate) fn groups(&self) -> Groups {
        match self {
            Self::Anonymous => Groups::default(),
            Self::User(_, groups) => groups.clone(),
        }
    }
}

/// A user without groups.
impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self::User(user, Groups::default())
    }
}

impl From<Option<User>> for Identity {
    fn from(user: Option<User>) -> Self {
        user.map_or(Self::Anonymous, Self::from)
    }
}

/// Who sent a request, and what their token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// On whose behalf it was sent.
    pub identity: Identity,
    /// The scopes of the token that came with the request. `None` without a token: then all rights
    /// of the identity apply.
    pub token: Option<Vec<Scope>>,
}

impl Caller {
    /// The identity that the token was issued to; `None` without a token.
    pub fn bearer(&self) -> Option<&Identity> {
        self.token.as_ref().map(|_| &self.identity)
    }
}

/// The rights of all identities: `[[access]]`, or the default if there are no rules.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<AccessRule>,
    /// Whether anonymous clients may do everything when there are no rules.
    open: bool,
}

impl Rules {
    /// The rules in these settings.
    pub fn new(config: &Config) -> Rules {
        Rules { rules: config.access.clone(), open: config.auth.mode == AuthMode::Off }
    }

    /// The rights of `identity` in `repository`: the union of what the rules grant. Without any
    /// rule, every user has all rights.
    pub fn rights(&self, identity: &Identity, repository: &str) -> Rights {
        match self.everything(identity) {
            Some(all) => all,
            None => {
                self.granting(identity, repository).map(|rule| rule.rights).collect::<Rights>() & Rights::ALL
            }
        }
    }

    /// Whether `identity` may list all repositories.
    pub fn has_catalog(&self, identity: &Identity) -> bool {
        let whole = |rule: &AccessRule| {
            let everywhere =
                rule.rights.contains(Rights::ALL) && rule.repositories.iter().any(|one| one.is_everything());
            everywhere || rule.rights.contains(Rights::CATALOG)
        };
        self.everything(identity).is_some_and(|all| !all.is_empty())
            || self.rules.iter().any(|rule| is_meant(rule, identity) && whole(rule))
    }

    /// The rules that are for `identity`, in the order of the file.
    pub fn meant_for(&self, identity: &Identity) -> impl Iterator<Item = &AccessRule> {
        self.rules.iter().filter(move |rule| is_meant(rule, identity))
    }

    /// The rules that grant `identity` rights in `repository`, in the order of the file.
    pub fn granting(&self, identity: &Identity, repository: &str) -> impl Iterator<Item = &AccessRule> {
        self.meant_for(identity).filter(move |rule| {
            rule.repositories.iter().any(|pattern| pattern.fits(repository, identity.user()))
        })
    }

    /// The rules that allow `identity` these rights in `repository`, as `file:line`: the first one
    /// that grants all of them, or else all that grant some. `None` if there are no rules.
    pub fn granting_all(&self, identity: &Identity, repository: &str, rights: Rights) -> Option<String> {
        let one = self.granting(identity, repository).find(|rule| rule.rights.contains(rights));
        let some = |rule: &&AccessRule| !(rule.rights & rights).is_empty();
        let rules =
            one.map_or_else(|| self.granting(identity, repository).filter(some).collect(), |one| vec![one]);
        let lines: Vec<&str> = rules.iter().map(|rule| rule.line()).collect();
        Some(lines.join(", ")).filter(|lines| !lines.is_empty())
    }

    /// The rights in every repository when there are no rules; `None` when there are.
    fn everything(&self, identity: &Identity) -> Option<Rights> {
        let is_job = || identity.user().is_some_and(|user| user.issuer().is_some());
        let known = self.open || *identity != Identity::Anonymous && !is_job();
        self.rules.is_empty().then_some(if known { Rights::ALL } else { Rights::NONE })
    }
}

/// Whether a rule applies to an identity. Rules for anonymous clients apply to every user too.
fn is_meant(rule: &AccessRule, identity: &Identity) -> bool {
    rule.subjects.iter().any(|subject| match (subject, identity) {
        (Subject::Anonymous, _) => true,
        (_, Identity::Anonymous) => false,
        // Jobs and other machines are meant only if they are named: everybody can have one.
        (Subject::EveryUser, Identity::User(user, _)) => user.issuer().is_none(),
        (Subject::Issuer(wanted), Identity::User(user, _)) => user.issuer() == Some(wanted.as_bytes()),
        (Subject::User(wanted), Identity::User(user, _)) => wanted == user,
        (Subject::Group(wanted), Identity::User(_, groups)) => groups.contains(wanted),
    })
}

/// The proof that a request has been authorized.
#[derive(Debug)]
pub struct Permit {
    caller: Caller,
}

impl Permit {
    /// On whose behalf the request is forwarded.
    pub fn identity(&self) -> &Identity {
        &self.caller.identity
    }

    /// Whether the request came with a token.
    pub fn has_token(&self) -> bool {
        self.caller.token.is_some()
    }

    /// Whether the caller has these rights in another repository too.
    pub fn extends(&self, rules: &Rules, repository: &str, rights: Rights) -> bool {
        allowed(rules, &self.caller, repository).contains(rights)
    }

    /// Whether the caller may see the name of `repository`. That takes the right to pull, whatever
    /// the scopes of the token are.
    pub fn sees(&self, rules: &Rules, repository: &str) -> bool {
        rules.rights(&self.caller.identity, repository).contains(Rights::PULL)
    }

    /// Whether the caller may list all repositories, and the token, if there is one, is for the
    /// catalog.
    pub fn has_catalog(&self, rules: &Rules) -> bool {
        let is_catalog = |scope: &Scope| scope.resource == Resource::Catalog;
        let token_allows = self.caller.token.as_ref().is_none_or(|scopes| scopes.iter().any(is_catalog));
        token_allows && rules.has_catalog(&self.caller.identity)
    }
}

/// Why a request is not permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The client is anonymous, and this takes a login.
    Unknown,
    /// The identity or its token lacks these rights.
    TooLittle(Scope),
    /// The path is in the API, but not with this method; the methods that are.
    NoMethod(&'static str),
    /// The path is not in the API.
    NoPath,
}

/// Decides whether a request may be forwarded.
///
/// # Errors
/// Why not. An unknown client learns nothing, not even which requests exist.
pub fn decide(rules: &Rules, caller: Caller, target: &Target<'_>) -> Result<Permit, Denied> {
    use Operation as O;
    let is_stranger = caller.identity == Identity::Anonymous && caller.token.is_none() && !rules.open;
    match (target.operation, target.repository) {
        (O::Ping | O::Catalog | O::TokenOfRegistry | O::NoMethod(_) | O::NoPath, _) if is_stranger => {
            Err(Denied::Unknown)
        }
        (O::Ping | O::Catalog | O::TokenOfRegistry, _) => Ok(Permit { caller }),
        (O::NoMethod(methods), _) => Err(Denied::NoMethod(methods)),
        (O::NoPath, _) | (_, None) => Err(Denied::NoPath),
        (operation, Some(repository)) => {
            let missing = operation.rights().without(allowed(rules, &caller, repository));
            if missing.is_empty() {
                return Ok(Permit { caller });
            }
            if is_stranger {
                return Err(Denied::Unknown);
            }
            Err(Denied::TooLittle(Scope::repository(repository, missing)))
        }
    }
}

/// The rights that both the current rules and the token, if there is one, grant.
fn allowed(rules: &Rules, caller: &Caller, repository: &str) -> Rights {
    let granted = rules.rights(&caller.identity, repository);
    let Some(scopes) = &caller.token else { return granted };
    let ours = |scope: &&Scope| matches!(&scope.resource, Resource::Repository(name) if name == repository);
    scopes.iter().filter(ours).map(|scope| scope.rights).collect::<Rights>() & granted
}

#[cfg(test)]
mod tests;
