//! The bodies of requests: how many bytes have moved, how fast they must come, and how they ended.
//!
//! A body stays on the worker that accepted its connection, so all of this is single-threaded.

pub(crate) mod backlog;
mod client;
mod fair_queue;
mod flow;
mod pace;
mod piece;
mod readers;
mod unread;

pub(crate) use client::{ClientBody, ClientError, Limits};
pub(crate) use fair_queue::{FairQueue, HTTP2_PIECE, TURN};
pub(crate) use flow::{ClientFault, Flow};
pub(crate) use pace::Pace;
pub(crate) use piece::{Piece, Shown};
pub(crate) use unread::UnreadBody;
