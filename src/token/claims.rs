//! What stands in an access token, as distribution's "Token Authentication Implementation" names it.

use serde::{Deserialize, Serialize};

use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};

/// The `typ` of an access token.
pub(super) const ACCESS: &str = "JWT";
/// The `typ` of an identity token, so that neither is taken for the other (RFC 8725 section 3.11).
pub(super) const IDENTITY: &str = "tidegate-identity+jwt";

/// The claims of an access token; all of them are required. Times are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    /// Empty for nobody.
    pub(super) sub: String,
    /// One string and no list: registries of version 2 read nothing else.
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) nbf: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    pub(super) access: Vec<Access>,
}

/// One resource, and what may be done with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

impl From<&Scope> for Access {
    fn from(scope: &Scope) -> Self {
        let (kind, name, actions) = match &scope.resource {
            Resource::Repository(name) => {
                ("repository", name.as_str(), scope.rights.names().map(str::to_owned).collect())
            }
            Resource::Catalog => ("registry", "catalog", vec!["*".to_owned()]),
        };
        Self { kind: kind.to_owned(), name: name.to_owned(), actions }
    }
}

impl Access {
    /// The scope that this is; `None` for what tidegate knows nothing of.
    pub(super) fn scope(&self) -> Option<Scope> {
        let scope = Scope::parse(&format!("{}:{}:{}", self.kind, self.name, self.actions.join(",")))?;
        (scope.rights != Rights::NONE).then_some(scope)
    }
}

/// The claims of an identity token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdentityClaims {
    pub(super) iss: String,
    pub(super) sub: String,
    /// `refresh:` and the service: no registry is called that.
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    /// When it was given, in milliseconds since 1970: a login right after a revocation counts.
    pub(super) given: u64,
    /// Ties it to the user's password as it was then.
    pub(super) binding: String,
}
