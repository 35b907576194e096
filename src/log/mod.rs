//! The access log.

pub(crate) mod access;
mod line;
pub(crate) mod record;
mod text;
mod writer;
