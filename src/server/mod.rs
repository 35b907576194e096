//! Client connections: accepting, handing each to a worker, TLS, HTTP, and their ends.

mod accepted;
mod admin;
mod connection;
mod drain;
mod exposition;
mod field_names;
mod handshake;
mod heartbeat;
mod hello;
mod linger;
mod listener;
mod load;
mod meter;
mod on_wake;
mod outgoing;
mod outq;
mod phase;
mod plain;
mod plaintext;
pub mod proxy_header;
mod report;
mod session;
mod share;
mod slots;
mod stream;
mod unbuffered;
mod watch;
mod worker;
mod worker_thread;
mod workers;

pub(crate) use admin::{AdminListener, AdminServer, accept_admin};
pub(crate) use drain::{StopError, cut, drain, leave};
pub(crate) use listener::{accept, bind};
pub(crate) use plain::{HTTPS, Plain};
pub(crate) use slots::Slots;
pub(crate) use worker_thread::start_workers;
