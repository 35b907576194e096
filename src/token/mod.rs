//! The tokens of `auth.mode = "token"`: who may do what for a while, signed.
//!
//! An access token says who it is for and what it allows, and is good for minutes; registries that verify tokens themselves
//! know its form. An identity token proves a login and gets access tokens, instead of the password, for months.

mod claims;
mod issue;
mod key;
mod login;
pub(crate) mod revoked;
mod tokens;
mod unix_time;
mod verified;
mod verify;

pub(crate) use self::issue::NotIssued;
pub use self::tokens::Tokens;
pub(crate) use self::verify::Invalid;

#[cfg(test)]
mod tests;
