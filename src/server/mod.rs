//! Connections: accepting, handing each to a core, TLS, HTTP, and their ends.

mod connection;
mod hello;
mod listener;
mod meter;
mod on_wake;
mod outgoing;
mod outq;
mod plain;
mod session;
mod stream;
mod watch;
mod workers;

pub(crate) use listener::{Connections, accept, bind};
pub(crate) use plain::{HTTPS, Plain};
pub(crate) use workers::{Phase, Workers};
