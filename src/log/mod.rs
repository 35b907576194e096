//! What is written about requests, beside the program's own log.

pub(crate) mod access;
mod line;
mod writer;
