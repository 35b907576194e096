//! Certificates, private keys and revocation lists: read from their files and judged.

mod check;
mod crl;
mod dates;
mod facts;
#[cfg(test)]
pub(crate) mod fixtures;
mod identity;
pub(crate) mod pair;
pub(crate) mod pem;
mod roots;
mod signature;
mod staple;

pub(crate) use self::check::{RenewedBy, chain as check_chain, names as check_names};
pub(crate) use self::crl::{Crl, Entry};
pub(crate) use self::dates::{date, span};
pub(crate) use self::facts::{Facts, is_issued_by};
pub(crate) use self::identity::{Identity, load};
pub(crate) use self::roots::{SystemRoots, client_config};
pub(crate) use self::staple::Staple;
