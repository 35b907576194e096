//! Certificates, private keys and revocation lists: reading and checking their files.

mod check;
mod crl;
mod dates;
mod der;
mod facts;
#[cfg(test)]
pub(crate) mod fixtures;
mod ocsp;
pub(crate) mod pair;
pub(crate) mod pem;
mod pkcs1;
mod roots;
mod secret_file;
mod served;
mod signature;
mod staple;

pub(crate) use self::check::{RenewedBy, chain as check_chain, names as check_names};
pub(crate) use self::crl::{Crl, Entry};
pub(crate) use self::dates::{date, span};
pub(crate) use self::facts::{Facts, is_issued_by, public_key};
pub(crate) use self::pkcs1::pkcs1;
pub(crate) use self::roots::{SystemRoots, client_config, client_trusting, roots};
pub(crate) use self::secret_file::read as read_secret;
pub(crate) use self::served::{ServedCertificate, derived, load};
pub(crate) use self::staple::Staple;
