//! The cryptography of every TLS connection, on either side.

#[cfg(test)]
pub(crate) mod fixtures;
mod provider;
mod seal;

pub use self::provider::provider;
