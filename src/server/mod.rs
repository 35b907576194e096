//! Connections: accepting, handing each to a core, TLS, HTTP, and their ends.

mod connection;
mod hello;
mod listener;
mod meter;
mod on_wake;
mod outgoing;
mod outq;
mod session;
mod stream;
mod watch;
mod workers;

pub use listener::{Connections, accept, bind};
pub use workers::{Phase, Workers};
