//! The language of the registry API: names, requests and error bodies. Bytes in, values out.

pub mod error;
pub mod grant;
pub mod name;
pub mod page;
pub mod pattern;
pub mod rights;
pub mod scope;
pub mod target;
