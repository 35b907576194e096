//! The access log.

pub(crate) mod access;
#[cfg(test)]
mod fixtures;
mod line;
pub(crate) mod record;
mod text;
mod writer;
