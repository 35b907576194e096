//! What moves through a request: its bytes, how fast they have to come, and how they end.
//!
//! Bodies stay on the core that accepted their connection, so all of this is single-threaded.

mod client;
mod fair_queue;
mod flow;
mod pace;
mod unread;

pub(crate) use client::{ClientBody, Limits};
pub(crate) use fair_queue::FairQueue;
pub(crate) use flow::{ClientFault, Flow};
pub(crate) use pace::Pace;
pub(crate) use unread::UnreadBody;
