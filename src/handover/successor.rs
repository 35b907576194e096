//! The process that takes over from this one.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep, timeout};

use super::channel::{Channel, Word};
use super::estate::Estate;
use super::predecessor::{OPTION, with_options};
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
    #[error("it ended before it was ready; its messages are in the log before this one")]
    Gone,
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
    process: Running,
    /// Whether it goes on when this is dropped.
    is_free: bool,
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
        command.arg0(&program.name).args(with_options(env::args_os().skip(1), &[OPTION])).stdin(theirs);
        for variable in OWN {
            command.env_remove(variable);
        }
        let child = command.spawn().map_err(|error| HandoverError::Start(program.path.clone(), error))?;
        // Closes our copy of its end.
        drop(command);
        let mut successor = Self { process: Running::Child(child), is_free: false, channel };
        let patience = patience();
        let result = timeout(patience, successor.prepare(estate, &descriptors)).await;
        result.unwrap_or(Err(HandoverError::Late(patience))).map(|()| successor)
    }

    async fn prepare(&mut self, estate: Estate, descriptors: &[BorrowedFd<'_>]) -> Result<(), HandoverError> {
        self.find_process().await?;
        // Fails if it has ended; the reason is in the answer.
        _ = self.channel.send(&Word::Take(estate), descriptors).await;
        match self.channel.receive().await? {
            Some((Word::Ready, _)) => Ok(()),
            Some((Word::Failed(reason), _)) => Err(HandoverError::Refused(reason)),
            Some(_) => Err(unexpected()),
            None => Err(HandoverError::Gone),
        }
    }

    /// The child starts the process that takes over, and ends.
    async fn find_process(&mut self) -> Result<(), HandoverError> {
        let word = self.channel.receive().await?;
        let status = self.process.end().await;
        match word {
            Some((Word::Started(pid), _)) => {
                self.process.kill();
                if let Ok(process) = Running::apart(pid) {
                    self.process = process;
                    return Ok(());
                }
                // It has ended already, and has said why.
                match self.channel.receive().await? {
                    Some((Word::Failed(reason), _)) => Err(HandoverError::Refused(reason)),
                    _ => Err(HandoverError::Gone),
                }
            }
            Some((Word::Failed(reason), _)) => Err(HandoverError::Refused(reason)),
            Some(_) => Err(unexpected()),
            None => Err(status
                .map_or_else(|| io::Error::other("it has closed its input").into(), HandoverError::Ended)),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Running::Child(child) => child.id(),
            Running::Apart(pid, _) => *pid,
        }
    }

    /// Lets it serve. From now on it goes on without this process.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn go(&mut self) -> io::Result<()> {
        self.channel.send(&Word::Go, &[]).await?;
        self.is_free = true;
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

fn unexpected() -> HandoverError {
    io::Error::other("it says something else").into()
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.is_free {
            self.process.kill();
        }
    }
}

#[derive(Debug)]
enum Running {
    /// What this process has started.
    Child(Child),
    /// What the child has started. It is another one's child when that has ended.
    Apart(u32, OwnedFd),
}

impl Running {
    fn apart(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self::Apart(pid, pidfd_open(number, PidfdFlags::empty())?))
    }

    /// How the child has ended; `None` if it goes on.
    async fn end(&mut self) -> Option<ExitStatus> {
        let Self::Child(child) = self else { return None };
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            sleep(CHECK).await;
        }
        None
    }

    fn kill(&mut self) {
        match self {
            Self::Child(child) => {
                _ = child.kill();
                // It takes no time after that.
                _ = child.wait();
            }
            Self::Apart(_, process) => _ = pidfd_send_signal(process, Signal::KILL),
        }
    }
}
