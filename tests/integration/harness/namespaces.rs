//! Namespaces for the network and the mounts of a test, which changes those of no other program.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::child;
use super::lines::Lines;
use super::tools::{Run, run};

pub struct Namespaces {
    /// A process that keeps them.
    pub holder: Child,
}

impl Namespaces {
    /// Makes new ones and runs `script` in them, which requires root. Without root, prints a note
    /// that names `what` is not tested and returns `None`.
    pub fn start(what: &str, script: &str) -> Option<Namespaces> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nothing is tested with {what}");
            return None;
        }
        let script = format!("set -e; ip link set lo up; {script}; echo ready; exec sleep 3600");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", &script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut holder = child::spawn(command).unwrap();
        let said = Lines::follow(holder.stdout.take().unwrap());
        said.wait_for("the namespaces", |line| line == "ready");
        Some(Namespaces { holder })
    }

    /// The command prefix that runs a program inside.
    pub fn runner(&self) -> Vec<String> {
        let target = format!("--target={}", self.holder.id());
        ["nsenter", &target, "--mount", "--net", "--"].map(str::to_owned).to_vec()
    }

    /// Runs a program inside, to its end.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let runner = self.runner();
        let words: Vec<_> = runner.iter().map(String::as_str).chain([program]).collect();
        run(words[0], &[&words[1..], arguments].concat())
    }

    /// Moves this thread, and those that it will start, into the network.
    pub fn enter_network(&self) {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
