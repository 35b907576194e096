//! The signed tokens of `auth.mode = "token"`.
//!
//! An access token names a user and what they may do, and is valid for minutes. Its form is
//! distribution's, so that a registry can verify it too. An identity token proves a login: for
//! months, a client gets access tokens with it instead of the password.

mod claims;
mod form;
mod issue;
mod key;
mod login;
pub(crate) mod revoked;
mod shared_revoked;
mod tokens;
mod unix_time;
mod verified;
mod verify;

pub(crate) use self::form::Kind;
pub(crate) use self::issue::NotIssued;
pub(crate) use self::login::Ended;
pub(crate) use self::shared_revoked::{OwnList, SharedRevoked};
pub use self::tokens::Tokens;
pub(crate) use self::verify::Invalid;

#[cfg(test)]
mod tests;
