//! Child processes that die with the test binary, however it ends.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};

type Job = (Command, Sender<io::Result<Child>>);

/// The descriptors that a child inherits beside its streams begin with this number, as under
/// systemd.
const FIRST: i32 = 3;
/// No descriptor with a lower number is copied to one of those.
const APART: i32 = 200;

/// Starts `command` so that the kernel kills it when this process ends.
///
/// The kernel signals the parent's death when the *thread* that started the child ends, and a
/// test's thread ends with the test. So one thread that lives as long as the process starts all
/// children.
pub fn spawn(command: Command) -> io::Result<Child> {
    spawn_with(command, &[])
}

/// Like `spawn`; the child inherits `descriptors`.
pub fn spawn_with(mut command: Command, descriptors: &[OwnedFd]) -> io::Result<Child> {
    let copies: Vec<OwnedFd> = descriptors
        .iter()
        .map(|descriptor| rustix::io::fcntl_dupfd_cloexec(descriptor, APART))
        .collect::<Result<_, _>>()?;

    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    // SAFETY: between fork and exec, the closure only calls prctl and dup2, which are
    // async-signal-safe.
    #[allow(unsafe_code, reason = "this can only be done between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            for (number, copy) in (FIRST..).zip(&copies) {
                if libc::dup2(copy.as_raw_fd(), number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    let starter = STARTER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(jobs)
    });
    let (answer, started) = channel();
    starter.lock().unwrap().send((command, answer)).expect("the starter thread is running");
    started.recv().expect("the starter thread answers")
}
