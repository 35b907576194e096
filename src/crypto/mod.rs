//! The cryptography of every TLS connection, on either side.

#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, reason = "a fixture panics when it cannot be made")]
pub(crate) mod fixtures;
mod provider;
mod record_key;
pub(crate) mod records;

pub(crate) use self::provider::provider;
pub(crate) use self::record_key::{AFTER, HEADER};
pub use self::record_key::{CONTENT, OVERHEAD, RecordKey};
