//! Header fields, each read and written by its own rules. Bytes in, values out.

pub mod credentials;
pub mod forwarded;
pub mod hop;
pub mod location;
