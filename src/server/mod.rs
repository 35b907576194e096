//! Connections: accepting, handing each to a core, TLS, HTTP, and their ends.

mod connection;

mod listener;
mod meter;
mod outq;
mod watch;
mod workers;

pub use listener::{Connections, accept, bind};
pub use workers::{Phase, Workers};
