//! The language of the registry API: names, requests and error bodies. Bytes in, values out.

pub mod error;
pub mod name;
pub mod target;
