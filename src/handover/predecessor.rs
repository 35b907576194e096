//! The process that this one takes over from.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use tokio::time::timeout;

use super::channel::{Channel, Word, say};
use super::estate::Inheritance;

/// The option with which a process is told to take over.
pub(crate) const OPTION: &str = "take-over";
/// The option of the process that [`set_apart`] has started.
pub(crate) const APART: &str = "apart";
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

/// Starts this program once more, and tells the old process which one takes over. This process must
/// end then, so that its child becomes one of the service manager: systemd waits only for the end
/// of its own children, and would kill any other main process at once when it stops the unit.
///
/// # Errors
/// It cannot be started, or the old process is gone.
pub(crate) fn set_apart() -> io::Result<()> {
    let mut own = env::args_os();
    // The path may lead to yet another program by now.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = own.next() {
        command.arg0(name);
    }
    command.args(with_options(own, &[OPTION, APART]));
    let child = command.spawn()?;
    say(io::stdin(), &Word::Started(child.id()))
}

/// The arguments of a process, with these options alone of ours, after the name of the command.
pub(super) fn with_options(own: impl Iterator<Item = OsString>, options: &[&str]) -> Vec<OsString> {
    let [take_over, apart] = [OPTION, APART].map(|option| OsString::from(format!("--{option}")));
    let mut arguments: Vec<OsString> =
        own.filter(|argument| *argument != take_over && *argument != apart).collect();
    let at = arguments.len().min(1);
    let options = options.iter().map(|option| OsString::from(format!("--{option}")));
    arguments.splice(at..at, options);
    arguments
}

/// Tells the old process why this one cannot take over. Returns whether it hears that.
pub(crate) fn tell_failure(reason: &str) -> bool {
    say(io::stdin(), &Word::Failed(reason.to_owned())).is_ok()
}

fn lost() -> io::Error {
    io::Error::other("there is no process to take over from")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_given_once_and_are_no_values_of_others() {
        let arguments = |own: &[&str]| with_options(own.iter().map(OsString::from), &[OPTION]);
        assert_eq!(arguments(&["serve", "-c", "p"]), ["serve", "--take-over", "-c", "p"]);
        assert_eq!(arguments(&["serve", "--take-over", "--apart", "p"]), ["serve", "--take-over", "p"]);
        assert_eq!(arguments(&["serve", "--", "p"]), ["serve", "--take-over", "--", "p"]);
        let both = with_options(["serve", "--take-over"].map(OsString::from).into_iter(), &[OPTION, APART]);
        assert_eq!(both, ["serve", "--take-over", "--apart"]);
    }
}
