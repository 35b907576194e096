//! Logins: where users come from, and who judges what they send.
//!
//! [`Sources`] are the htpasswd file, a directory or a service, and issuers of tokens. [`Verifier`]
//! has passwords checked, once each, and [`Throttle`] limits failed attempts. [`edit`] changes an
//! htpasswd file for the `htpasswd` command.

mod admission;
mod apr1;
mod crypt64;
pub(crate) mod edit;
mod hash;
pub(crate) mod htpasswd;
pub(crate) mod issuer;
mod judgement;
mod ldap;
mod person;
mod pool;
mod seldom;
mod service;
mod sha_crypt;
mod share;
mod sources;
pub(crate) mod throttle;
pub(crate) mod verifier;

pub(crate) use hash::{HIGHEST_COST, LOWEST_COST, StoredHash};
pub use htpasswd::Htpasswd;
pub(crate) use htpasswd::open;
pub(crate) use issuer::RefusedToken;
pub(crate) use ldap::{Finding, Unavailable};
pub(crate) use person::{Person, Source};
pub(crate) use sources::{Judge, Remote, Sources};
pub(crate) use throttle::{Account, Throttle};
pub use verifier::{Verdict, Verifier};
