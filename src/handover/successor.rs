//! The process that takes over from this one.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, Word};
use super::estate::Estate;
use super::predecessor::OPTION;
use super::program::Program;
use crate::sockets::Sockets;
use crate::state::Shared;
use crate::systemd::WATCHDOG_PID;

/// Longest wait until the new process is ready. Its look-ups and files may be slow.
const PATIENCE: Duration = Duration::from_secs(45);
/// Longest wait for the end of a process that says nothing any more.
const END: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_millis(10);
/// What is meant for this process alone.
const OWN: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", WATCHDOG_PID];

/// Why nobody takes over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandoverError {
    #[error("{} cannot be started: {}", .0.display(), .1)]
    Start(PathBuf, io::Error),
    /// What the new process says.
    #[error("{0}")]
    Refused(String),
    #[error("it ended before it was ready ({0}); its messages are in the log before this one")]
    Ended(ExitStatus),
    #[error("it was not ready within {0:?}")]
    Late(Duration),
    #[error("it did not answer as tidegate does: {0}")]
    Channel(#[from] io::Error),
    /// A container ends with its first process.
    #[error(
        "tidegate is the first process of a container, which ends with it; start a container of the new image beside \
         this one, and stop this one then"
    )]
    Container,
}

/// A process that is ready to take over.
#[derive(Debug)]
pub(crate) struct Successor {
    child: Running,
    channel: Channel,
}

impl Successor {
    /// Starts the program with the arguments of this process, and waits until it can serve.
    ///
    /// # Errors
    /// It cannot. Nothing of it is left then.
    pub(crate) async fn start(
        program: &Program,
        shared: &Shared,
        sockets: &Sockets,
    ) -> Result<Self, HandoverError> {
        if std::process::id() == 1 {
            return Err(HandoverError::Container);
        }
        let (listening, listeners) = sockets.used();
        let numbers = shared.audit_log.share_numbers()?;
        let descriptors: Vec<BorrowedFd<'_>> =
            listeners.iter().map(AsFd::as_fd).chain(numbers.iter().map(AsFd::as_fd)).collect();
        let estate = Estate { listening, counts_lines: numbers.is_some(), heritage: shared.heritage() };
        let (channel, theirs) = Channel::pair()?;
        let mut command = Command::new(&program.path);
        command.arg0(&program.name).args(arguments(env::args_os().skip(1))).stdin(theirs);
        for variable in OWN {
            command.env_remove(variable);
        }
        let child = command.spawn().map_err(|error| HandoverError::Start(program.path.clone(), error))?;
        // Closes our copy of its end.
        drop(command);
        let mut successor = Self { child: Running(Some(child)), channel };
        let patience = patience();
        let result = timeout(patience, successor.prepare(estate, &descriptors)).await;
        result.unwrap_or(Err(HandoverError::Late(patience))).map(|()| successor)
    }

    async fn prepare(&mut self, estate: Estate, descriptors: &[BorrowedFd<'_>]) -> Result<(), HandoverError> {
        // Fails if it has ended; the reason is in the answer, or in how it ended.
        let sent = self.channel.send(&Word::Take(estate), descriptors).await;
        match self.channel.receive().await? {
            Some((Word::Ready, _)) => Ok(()),
            Some((Word::Failed(reason), _)) => Err(HandoverError::Refused(reason)),
            Some(_) => Err(io::Error::other("it says something else").into()),
            None => match self.child.end().await {
                Some(status) => Err(HandoverError::Ended(status)),
                None => Err(sent.err().unwrap_or_else(|| io::Error::other("it has closed its input")).into()),
            },
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.as_ref().map_or(0, Child::id)
    }

    /// Lets it serve. From now on it goes on without this process.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn go(&mut self) -> io::Result<()> {
        self.channel.send(&Word::Go, &[]).await?;
        // Not reaped: when this process has ended, its manager sees how this one did.
        self.child.0 = None;
        Ok(())
    }

    /// Waits until it has ended without having been replaced itself.
    pub(crate) async fn has_failed(&self) {
        loop {
            match self.channel.receive().await {
                Ok(Some((Word::Replaced, _))) => std::future::pending().await,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// [`PATIENCE`], or the seconds in `TIDEGATE_TEST_PATIENCE`; those in debug builds only, for the
/// test of a program that hangs.
fn patience() -> Duration {
    let for_a_test = env::var("TIDEGATE_TEST_PATIENCE").ok().filter(|_| cfg!(debug_assertions));
    for_a_test.and_then(|seconds| seconds.parse().ok()).map_or(PATIENCE, Duration::from_secs)
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
struct Running(Option<Child>);

impl Running {
    /// How it has ended; `None` if it goes on.
    async fn end(&mut self) -> Option<ExitStatus> {
        let child = self.0.as_mut()?;
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            sleep(CHECK).await;
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            _ = child.kill();
            // It takes no time after that.
            _ = child.wait();
        }
    }
}

/// The arguments of this process, with the option to take over after the name of the command.
fn arguments(own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let option = OsString::from(format!("--{OPTION}"));
    let mut arguments: Vec<OsString> = own.filter(|argument| *argument != option).collect();
    arguments.insert(arguments.len().min(1), option);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_given_once_and_is_no_value_of_another() {
        let arguments = |own: &[&str]| arguments(own.iter().map(OsString::from));
        assert_eq!(arguments(&["serve", "-c", "p"]), ["serve", "--take-over", "-c", "p"]);
        assert_eq!(arguments(&["serve", "--take-over", "p"]), ["serve", "--take-over", "p"]);
        assert_eq!(arguments(&["serve", "--", "p"]), ["serve", "--take-over", "--", "p"]);
    }
}
