//! The claims of tokens; those of an access token are named in distribution's "Token Authentication
//! Implementation".

use serde::{Deserialize, Serialize};

use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};

/// The `typ` of an access token.
pub(super) const ACCESS: &str = "JWT";
/// The `typ` of an identity token. It differs, so that neither kind passes for the other (RFC 8725
/// section 3.11).
pub(super) const IDENTITY: &str = "tidegate-identity+jwt";

/// The claims of an access token; all of them are required. Times are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    /// The user; empty for an anonymous client.
    pub(super) sub: String,
    /// A string, not a list: distribution 2 cannot read a list.
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) nbf: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    pub(super) access: Vec<Access>,
    /// The user's groups that rules name, as in [`crate::user::Groups`]. A claim of ours, which
    /// registries ignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
}

/// One resource, and what the user may do with it.
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
    /// `None` for a resource or actions that tidegate does not know.
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
    /// `refresh:` and the service. No registry has such a name, so none accepts the token.
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    /// When it was issued, in milliseconds since 1970, so that a login in the second of a
    /// revocation but after it is not ended.
    pub(super) given: u64,
    /// Ties the token to the user's password at that time, or to the settings of the issuer.
    pub(super) binding: String,
    /// The groups of a user whose issuer cannot be asked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
}
