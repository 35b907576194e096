//! Header fields, each read and written by its own rules. Bytes in, values out.

pub(crate) mod authority;
pub(crate) mod challenge;
pub(crate) mod credentials;
pub mod forwarded;
pub mod hop;
pub(crate) mod location;
