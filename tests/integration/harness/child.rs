//! Child processes that die with the test binary, however it ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};

type Job = (Command, Sender<io::Result<Child>>);

/// Starts `command` so that the kernel kills it when this process ends.
///
/// The kernel signals the parent's death when the *thread* that started the child ends, and a
/// test's thread ends with the test. So one thread that lives as long as the process starts all
/// children.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    // SAFETY: the closure makes one prctl call between fork and exec, which is async-signal-safe.
    #[allow(unsafe_code, reason = "the parent-death signal can only be set between fork and exec")]
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
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
