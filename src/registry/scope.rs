//! The scopes of tokens, `type:name:actions`, as in distribution's "Token Scope Documentation".

use std::fmt;

use super::name;
use super::rights::Rights;

/// Rights in one repository or in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Where.
    pub resource: Resource,
    /// The rights there.
    pub rights: Rights,
}

/// The resource of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `repository:<name>`
    Repository(String),
    /// `registry:catalog`
    Catalog,
}

impl Scope {
    /// A scope of one repository.
    pub fn repository(name: &str, rights: Rights) -> Scope {
        Scope { resource: Resource::Repository(name.to_owned()), rights }
    }

    /// Reads one scope. Unknown actions are ignored; `None` for a resource of an unknown kind.
    pub fn parse(text: &str) -> Option<Scope> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let kind = match kind.split_once('(') {
            Some((kind, class)) if class.ends_with(')') => kind,
            Some(_) => return None,
            None => kind,
        };
        match (kind, name) {
            ("registry", "catalog") => {
                let asked = actions.split(',').any(|action| action == "*");
                asked.then_some(Scope { resource: Resource::Catalog, rights: Rights::CATALOG })
            }
            ("repository", name) if name::is_repository(name) => {
                let rights = actions.split(',').filter_map(|action| match action {
                    "*" => Some(Rights::ALL),
                    action => Rights::named(action),
                });
                Some(Scope::repository(name, rights.collect::<Rights>() & Rights::ALL))
            }
            _ => None,
        }
    }
}

/// As it is written in a challenge.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Resource::Repository(name) => write!(f, "repository:{name}:{}", self.rights),
            Resource::Catalog => f.write_str("registry:catalog:*"),
        }
    }
}
