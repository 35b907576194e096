//! A process under measurement. It ends with the bench, however the bench ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// The signal that asks a process to end.
#[derive(Clone, Copy)]
pub enum End {
    Kill,
    /// For nginx, where only the master can end its workers.
    Terminate,
}

pub struct Process {
    child: Child,
    end: End,
    output: PathBuf,
}

impl Process {
    /// Starts `command` with its output in a file of `folder`. Must be called from the main thread:
    /// the kernel ends the process when the thread that started it ends.
    pub fn start(command: &Command, folder: &Path, end: End) -> io::Result<Process> {
        let output = folder.join("output.log");
        let log = File::create(&output)?;
        let signal = match end {
            End::Kill => "KILL",
            End::Terminate => "TERM",
        };
        let mut launcher = Command::new("setpriv");
        launcher.args(["--pdeathsig", signal, "--"]).arg(command.get_program()).args(command.get_args());
        launcher.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        launcher.env("PATH", path()).env_remove("RUST_LOG").current_dir(folder);
        launcher.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Process { child: launcher.spawn()?, end, output })
    }

    /// The process and all its descendants.
    pub fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = tree.get(next) {
            let children = children(*pid);
            tree.extend(children);
            next += 1;
        }
        tree
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The last line of its output: the reason, if it ended.
    pub fn last_words(&self) -> String {
        let output = fs::read_to_string(&self.output).unwrap_or_default();
        output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let tree = self.tree();
        if let End::Terminate = self.end {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let deadline = Instant::now() + GRACE;
            while !self.has_ended() && Instant::now() < deadline {
                sleep(Duration::from_millis(2));
            }
        }
        if !self.has_ended() {
            for pid in tree.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Debian keeps nginx and haproxy in sbin, which not every user has in PATH.
pub fn path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
