//! Another process takes over while this one finishes what runs: an upgrade without a gap.
//!
//! The old process starts the program that is on the disk, with one end of a [`channel`] as its
//! standard input. The program starts itself once more and ends, so the new process is a child of
//! the service manager. The new one gets the [`estate`], builds all that it needs, and says that it
//! is ready. Then the old one stops accepting and lets it go ahead. Until then nothing has changed
//! for clients: if the new process fails, the old one goes on.

mod channel;
mod estate;
mod predecessor;
mod program;
mod successor;

pub(crate) use estate::Inheritance;
pub(crate) use predecessor::{APART, OPTION, Predecessor, set_apart, tell_failure};
pub(crate) use program::Program;
pub(crate) use successor::{HandoverError, Successor};
