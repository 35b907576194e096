//! The registry API as values: names, requests, scopes and error bodies.

pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod grant;
pub(crate) mod name;
pub(crate) mod page;
pub(crate) mod pattern;
pub(crate) mod renaming;
pub(crate) mod rights;
pub(crate) mod scope;
pub mod target;
pub(crate) mod upload_place;
