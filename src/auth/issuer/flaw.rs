//! What is wrong with a token.

use crate::header::credentials::MAX_BEARER;
use crate::user::BadName;

/// Seconds by which the clocks of an issuer and of tidegate may differ.
pub(super) const LEEWAY: u64 = 60;

/// Why a token of a known issuer is refused. Displays as a clause that names claims, never their
/// values, and has no quotes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("it is not three parts of base64url, with JSON in the first two")]
    Malformed,
    #[error("it is longer than {MAX_BEARER} bytes")]
    Long,
    #[error("its algorithm is not accepted")]
    Algorithm,
    #[error("its header has crit")]
    Critical,
    #[error("the issuer has no key with the kid of its header")]
    UnknownKey,
    #[error("its header has no kid, and the issuer has several keys")]
    UnnamedKey,
    #[error("the key that signed it is for another algorithm")]
    OtherAlgorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("the claim {0} is missing")]
    Missing(String),
    #[error("the claim {claim} is {found} and not {wanted}")]
    Type { claim: String, found: &'static str, wanted: &'static str },
    #[error("the claim {0} is empty")]
    Empty(String),
    #[error("it has expired")]
    Expired,
    #[error("the claim {0} is a time that has not come")]
    Early(&'static str),
    #[error("the claim aud is for another service")]
    Audience,
    #[error("the claim {0} is not what auth.issuer.require asks for")]
    Required(String),
    #[error("its claims make no user: {0}")]
    User(BadName),
    #[error("its claims make a user of more than {0} bytes")]
    LongUser(usize),
}
