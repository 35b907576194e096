//! Two network namespaces that stand for two machines with one cable between them: tidegate and the
//! test are on the near one, the registry is on the far one.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use super::child;
use super::lines::Lines;

/// The addresses of the far machine. On the near one `registry.test` stands for both.
pub const FAR: [&str; 2] = ["192.0.2.2", "192.0.2.3"];
const NEAR: &str = "192.0.2.1";

pub struct TwoMachines {
    near: Child,
    far: Child,
    _folder: TempDir,
}

impl TwoMachines {
    /// Sets them up, which requires root. Without root, prints a note and returns `None`.
    pub fn start() -> Option<TwoMachines> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nothing is tested with a machine that vanishes");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, FAR.map(|address| format!("{address} registry.test\n")).concat()).unwrap();
        let far = hold("ip link set lo up");
        let near = hold(&format!(
            "mount --bind {} /etc/hosts; ip link set lo up; \
             ip link add cable type veth peer name cable netns {}; ip link set cable up; \
             ip address add {NEAR}/32 dev cable; ip route add 192.0.2.0/24 dev cable",
            hosts.display(),
            far.id()
        ));
        let machines = TwoMachines { near, far, _folder: folder };
        machines.far_ip(&["link", "set", "cable", "up"]);
        machines.far_ip(&["route", "add", &format!("{NEAR}/32"), "dev", "cable"]);
        for address in FAR {
            machines.far_ip(&["address", "add", &format!("{address}/32"), "dev", "cable"]);
        }
        Some(machines)
    }

    /// The command prefix that runs a program on the near machine.
    pub fn runner(&self) -> Vec<String> {
        let target = format!("--target={}", self.near.id());
        ["nsenter", &target, "--mount", "--net", "--"].map(str::to_owned).to_vec()
    }

    /// Moves this thread, and those that it will start, to the near machine.
    pub fn move_near(&self) {
        move_to(&self.near);
    }

    /// The same for the far machine, for as long as `run` takes.
    pub fn on_the_far_machine<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_to(&self.far);
                run()
            });
            thread.join().unwrap()
        })
    }

    /// From now on, whatever is sent to this address of the far machine is dropped without a word.
    pub fn cut(&self, address: &str) {
        self.far_ip(&["address", "del", &format!("{address}/32"), "dev", "cable"]);
    }

    fn far_ip(&self, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        command.args([&format!("--target={}", self.far.id()), "--net", "--", "ip"]).args(arguments);
        assert!(command.status().unwrap().success(), "{command:?}");
    }
}

impl Drop for TwoMachines {
    fn drop(&mut self) {
        for holder in [&mut self.near, &mut self.far] {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// A process that keeps new namespaces, in which `script` has run.
fn hold(script: &str) -> Child {
    let script = format!("set -e; {script}; echo ready; exec sleep 3600");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", &script]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut holder = child::spawn(command).unwrap();
    let said = Lines::follow(holder.stdout.take().unwrap());
    said.wait_for("the namespaces", |line| line == "ready");
    holder
}

fn move_to(holder: &Child) {
    let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}
