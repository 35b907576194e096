//! What moves through a request: its bytes, how fast they have to come, and how they end.
//!
//! Bodies stay on the core that accepted their connection, so all of this is single-threaded.

mod client;
mod flow;
mod pace;
mod turns;
mod unread;

pub use client::ClientError;
pub use client::{ClientBody, Limits};
pub use flow::{ClientFault, Flow};
pub use pace::Pace;
pub use turns::Turns;
pub use unread::Unread;
