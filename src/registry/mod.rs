//! The language of the registry API: names, requests and error bodies. Bytes in, values out.

pub(crate) mod error;
pub(crate) mod grant;
pub(crate) mod name;
pub(crate) mod page;
pub(crate) mod pattern;
pub(crate) mod rights;
pub(crate) mod scope;
pub mod target;
