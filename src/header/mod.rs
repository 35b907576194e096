//! Header fields, each read and written by its own rules. No I/O.

pub(crate) mod accept;
pub(crate) mod authority;
pub(crate) mod challenge;
pub(crate) mod credentials;
pub mod forwarded;
pub(crate) mod forwarded_host;
pub mod hop;
pub(crate) mod location;
pub(crate) mod origin;
mod quoted;
pub(crate) mod request_id;
pub(crate) mod single;
pub(crate) mod traceparent;
pub(crate) mod warning;
