//! The process that this one takes over from.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::time::timeout;

use super::channel::{Channel, Word, say};
use super::estate::Inheritance;

/// The option with which a process is told to take over.
pub(crate) const OPTION: &str = "take-over";
/// Longest wait for what passes over.
const ESTATE: Duration = Duration::from_secs(10);
/// Longest wait for the leave to serve. The old process closes its listeners meanwhile.
const LEAVE: Duration = Duration::from_secs(60);

/// The old process, at the other end of standard input.
#[derive(Debug)]
pub(crate) struct Predecessor(Channel);

impl Predecessor {
    /// Gets what the old process passes on. Must be called within a runtime.
    ///
    /// # Errors
    /// Standard input leads to no such process, or it says nothing in time.
    pub(crate) async fn meet() -> io::Result<(Self, Inheritance)> {
        let channel = Channel::of(io::stdin().as_fd().try_clone_to_owned()?)?;
        let message = timeout(ESTATE, channel.receive()).await??;
        match message {
            Some((Word::Take(estate), descriptors)) => {
                Ok((Self(channel), Inheritance::new(estate, descriptors)))
            }
            _ => Err(lost()),
        }
    }

    /// Says that this process is ready, and waits until it may serve.
    pub(crate) async fn take_over(&self) -> io::Result<()> {
        self.0.send(&Word::Ready, &[]).await?;
        match timeout(LEAVE, self.0.receive()).await?? {
            Some((Word::Go, _)) => Ok(()),
            _ => Err(lost()),
        }
    }

    /// Says that yet another process has taken over from this one.
    pub(crate) async fn was_replaced(&self) {
        // Fails if it has ended, and then it does not need to know.
        _ = self.0.send(&Word::Replaced, &[]).await;
    }
}

/// Tells the old process why this one cannot take over. Returns whether it hears that.
pub(crate) fn tell_failure(reason: &str) -> bool {
    say(io::stdin(), &Word::Failed(reason.to_owned())).is_ok()
}

fn lost() -> io::Error {
    io::Error::other("there is no process to take over from")
}
