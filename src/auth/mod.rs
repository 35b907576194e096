//! Passwords: the htpasswd file, and the check of a password against it.
//!
//! [`open`] follows an htpasswd file on disk, [`Verifier`] checks passwords, [`Throttle`] limits
//! failed attempts, and [`edit`] changes such a file for the `htpasswd` command.

mod admission;
mod apr1;
mod crypt64;
pub(crate) mod edit;
mod hash;
pub(crate) mod htpasswd;
pub(crate) mod issuer;
mod judgement;
pub(crate) mod ldap;
mod person;
mod pool;
pub(crate) mod service;
mod sha_crypt;
mod share;
mod sources;
pub(crate) mod throttle;
pub(crate) mod verifier;

pub(crate) use hash::{HIGHEST_COST, LOWEST_COST, StoredHash};
pub use htpasswd::Htpasswd;
pub(crate) use htpasswd::open;
pub(crate) use issuer::{Issuers, RefusedToken};
pub(crate) use ldap::{Finding, Unavailable};
pub(crate) use person::{Person, Source};
pub(crate) use sources::{Judge, Remote, Sources};
pub(crate) use throttle::{Account, Throttle};
pub use verifier::{Verdict, Verifier};
