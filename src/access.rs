//! Who may do what. Only this module makes a [`Permit`], and nothing reaches the upstream without one.

use crate::config::{AccessRule, AuthMode, Config, Subject};
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::{Operation, Target};
use crate::user::User;

/// Who sent a request, once that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody that is known.
    Anonymous,
    /// One who has proven who they are.
    User(User),
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

    fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }
}

impl From<Option<User>> for Identity {
    fn from(user: Option<User>) -> Self {
        user.map_or(Self::Anonymous, Self::User)
    }
}

/// Who sends a request, and how far what he came with goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// What his token allows; `None` where he came without one, and all counts that he may do.
    pub token: Option<Vec<Scope>>,
}

impl Caller {
    /// Whom the token is for that he came with.
    pub fn bearer(&self) -> Option<&Identity> {
        self.token.as_ref().map(|_| &self.identity)
    }
}

/// What everybody may do: `[[access]]`, or what holds where there is none.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<AccessRule>,
    /// Where there is no rule: whether even a stranger may do everything.
    open: bool,
}

impl Rules {
    /// The rules of these settings.
    pub fn new(config: &Config) -> Rules {
        Rules { rules: config.access.clone(), open: config.auth.mode == AuthMode::Off }
    }

    /// All that `identity` may do with `repository`: the union of what the rules grant. As soon as there is one rule, what
    /// none grants is denied; without any, every user may do everything.
    pub fn rights(&self, identity: &Identity, repository: &str) -> Rights {
        match self.everything(identity) {
            Some(all) => all,
            None => {
                self.granting(identity, repository).map(|rule| rule.rights).collect::<Rights>() & Rights::ALL
            }
        }
    }

    /// Whether `identity` may see the names of all repositories.
    pub fn has_catalog(&self, identity: &Identity) -> bool {
        let whole = |rule: &AccessRule| {
            let everywhere =
                rule.rights.contains(Rights::ALL) && rule.repositories.iter().any(|one| one.is_everything());
            everywhere || rule.rights.contains(Rights::CATALOG)
        };
        self.everything(identity).is_some_and(|all| !all.is_empty())
            || self.rules.iter().any(|rule| is_meant(rule, identity) && whole(rule))
    }

    /// The rules that grant `identity` anything with `repository`, in the order of the file.
    pub fn granting(&self, identity: &Identity, repository: &str) -> impl Iterator<Item = &AccessRule> {
        self.rules.iter().filter(move |rule| {
            is_meant(rule, identity)
                && rule.repositories.iter().any(|pattern| pattern.fits(repository, identity.user()))
        })
    }

    /// What holds without any rule.
    fn everything(&self, identity: &Identity) -> Option<Rights> {
        let known = self.open || *identity != Identity::Anonymous;
        self.rules.is_empty().then_some(if known { Rights::ALL } else { Rights::NONE })
    }
}

/// What anybody may do every user may do too.
fn is_meant(rule: &AccessRule, identity: &Identity) -> bool {
    rule.subjects.iter().any(|subject| match (subject, identity) {
        (Subject::Anonymous, _) | (Subject::EveryUser, Identity::User(_)) => true,
        (Subject::User(wanted), Identity::User(user)) => wanted == user,
        (Subject::EveryUser | Subject::User(_), Identity::Anonymous) => false,
    })
}

/// The proof that a request was decided on and may be forwarded.
#[derive(Debug)]
pub struct Permit {
    caller: Caller,
}

impl Permit {
    /// In whose name the request goes on.
    pub fn identity(&self) -> &Identity {
        &self.caller.identity
    }

    /// Whether the request came with a token.
    pub fn has_token(&self) -> bool {
        self.caller.token.is_some()
    }

    /// Whether the one whom the request is from may also do this with `repository`.
    pub fn extends(&self, rules: &Rules, repository: &str, rights: Rights) -> bool {
        allowed(rules, &self.caller, repository).contains(rights)
    }

    /// Whether he may see the name of `repository`: whether he may pull it, whatever the token that he came with is for.
    pub fn sees(&self, rules: &Rules, repository: &str) -> bool {
        rules.rights(&self.caller.identity, repository).contains(Rights::PULL)
    }

    /// Whether he may see the names of all repositories, and his token, if he came with one, is for that.
    pub fn has_catalog(&self, rules: &Rules) -> bool {
        let is_catalog = |scope: &Scope| scope.resource == Resource::Catalog;
        let token_allows = self.caller.token.as_ref().is_none_or(|scopes| scopes.iter().any(is_catalog));
        token_allows && rules.has_catalog(&self.caller.identity)
    }
}

/// Why a request is not permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody said who he is, and not everybody may do this.
    Unknown,
    /// It is known who asks, and he, or his token, may not do this; what he lacks of what the request takes.
    TooLittle(Scope),
    /// A path of the API with a method that it does not have; those that it has.
    NoMethod(&'static str),
    /// No path of the API.
    NoPath,
}

/// Decides about one request.
///
/// # Errors
/// When it must not be forwarded. A stranger learns nothing of what there is, not even which requests there are.
pub fn decide(rules: &Rules, caller: Caller, target: &Target<'_>) -> Result<Permit, Denied> {
    use Operation as O;
    let is_stranger = caller.identity == Identity::Anonymous && caller.token.is_none() && !rules.open;
    match (target.operation, target.repository) {
        (O::Ping | O::Catalog | O::NoMethod(_) | O::NoPath, _) if is_stranger => Err(Denied::Unknown),
        (O::Ping | O::Catalog, _) => Ok(Permit { caller }),
        (O::NoMethod(methods), _) => Err(Denied::NoMethod(methods)),
        (O::NoPath, _) | (_, None) => Err(Denied::NoPath),
        (operation, Some(repository)) => {
            let missing = operation.rights().without(allowed(rules, &caller, repository));
            if missing.is_empty() {
                return Ok(Permit { caller });
            }
            match is_stranger {
                true => Err(Denied::Unknown),
                false => Err(Denied::TooLittle(Scope::repository(repository, missing))),
            }
        }
    }
}

/// Both count: what a token allows, and what the rules of this moment do.
fn allowed(rules: &Rules, caller: &Caller, repository: &str) -> Rights {
    let granted = rules.rights(&caller.identity, repository);
    let Some(scopes) = &caller.token else { return granted };
    let ours = |scope: &&Scope| matches!(&scope.resource, Resource::Repository(name) if name == repository);
    scopes.iter().filter(ours).map(|scope| scope.rights).collect::<Rights>() & granted
}

#[cfg(test)]
mod tests;
