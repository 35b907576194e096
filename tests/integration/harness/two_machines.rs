//! Two network namespaces that stand for two machines with one cable between them: tidegate and the
//! test are on the near one, the registry is on the far one.

use std::fs;

use tempfile::TempDir;

use super::namespaces::Namespaces;

/// The addresses of the far machine. On the near one `registry.test` stands for both.
pub const FAR: [&str; 2] = ["192.0.2.2", "192.0.2.3"];
const NEAR: &str = "192.0.2.1";
/// Where the near machine asks for other names.
pub const RESOLVER: &str = "127.0.0.53";

pub struct TwoMachines {
    near: Namespaces,
    far: Namespaces,
    _folder: TempDir,
}

impl TwoMachines {
    /// Sets them up, which requires root. Without root, prints a note and returns `None`.
    pub fn start() -> Option<TwoMachines> {
        let folder = TempDir::new().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, FAR.map(|address| format!("{address} registry.test\n")).concat()).unwrap();
        let resolver = folder.path().join("resolv.conf");
        fs::write(&resolver, format!("nameserver {RESOLVER}\n")).unwrap();
        let what = "a machine that vanishes";
        let far = Namespaces::start(what, "true")?;
        let script = format!(
            "mount --bind {} /etc/hosts; mount --bind {} /etc/resolv.conf; \
             ip link add cable type veth peer name cable netns {}; ip link set cable up; \
             ip address add {NEAR}/32 dev cable; ip route add 192.0.2.0/24 dev cable",
            hosts.display(),
            resolver.display(),
            far.holder.id()
        );
        let near = Namespaces::start(what, &script)?;
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
        self.near.runner()
    }

    /// The same for the far machine.
    pub fn far_runner(&self) -> Vec<String> {
        self.far.runner()
    }

    /// Moves this thread, and those that it will start, to the near machine.
    pub fn move_near(&self) {
        self.near.enter_network();
    }

    /// The same for the far machine, for as long as `run` takes.
    pub fn on_the_far_machine<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.far.enter_network();
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
        let run = self.far.run("ip", arguments);
        assert!(run.success, "{arguments:?}: {}", run.stderr);
    }
}
