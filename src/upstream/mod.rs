//! The way to the registry.
//!
//! A [`Registry`] has servers, a [`Server`] has addresses, and what is known of an address is an
//! [`Endpoint`]. All workers share these. Each worker has its own [`Upstream`] with its own
//! connections, and a connection is polled within the task of the request that uses it: a chunk
//! crosses no task and no thread on its way.

mod answer;
mod answer_head;
mod balance;
mod chunks;
mod client;
mod connect;
mod connection;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fixtures;
mod health;
mod outgoing;
mod pool;
mod probe;
mod registry;
mod server;
mod stream;
mod vanished;

pub(crate) use answer::{Answer, AnswerError};
pub(crate) use balance::Destination;
pub(crate) use client::Upstream;
pub(crate) use endpoint::{Endpoint, Usage};
pub(crate) use error::UpstreamError;
pub(crate) use health::{FaultKind, UpstreamFault};
pub(crate) use probe::{Probed, look_up, probe};
pub(crate) use registry::Registry;
pub(crate) use server::{LOOK_UP_PAUSE, Server, ServerCounts};
