//! What is written about requests, beside the program's own log.

pub mod access;
mod line;
mod writer;
