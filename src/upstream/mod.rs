//! The way to the registry. Each worker has its own [`Upstream`] with its own connections.
//!
//! A connection is polled within the task of the request that uses it, so a chunk crosses no task
//! and no thread on its way.

mod answer;
mod client;
mod connect;
mod connection;
mod error;
mod health;
mod pool;
mod server;
mod stream;
mod vanished;

pub(crate) use answer::{Answer, AnswerError};
pub(crate) use client::Upstream;
pub(crate) use connect::addresses;
pub(crate) use error::UpstreamError;
pub(crate) use health::{UpstreamFault, UpstreamHealth};
pub(crate) use server::Destination;
