//! The admin listener: health, metrics and the status page, over plain HTTP. Nothing can be changed
//! through it.

mod access;
mod answer;
mod body;
mod connection;
mod host;
mod listener;
mod metrics;
mod page;
mod patient;
mod readiness;
mod server;
mod socket_file;
mod status;
mod text;
mod watchers;

pub(crate) use listener::{AdminListener, accept_admin};
pub(crate) use server::AdminServer;
