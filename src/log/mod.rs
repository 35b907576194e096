//! The access log, the audit log and the program's own log.

pub(crate) mod access;
pub(crate) mod audit;
#[cfg(test)]
mod fixtures;
mod line;
mod object;
mod output;
pub(crate) mod program;
pub(crate) mod record;
mod text;
mod writer;

pub(crate) use text::rfc_3339;
