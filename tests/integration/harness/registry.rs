//! A real registry: Debian's `docker-registry` on a free port.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::child;
use super::lines::Lines;

pub struct Registry {
    /// Its URL for `upstream.servers`.
    url: String,
    child: Child,
    _folder: TempDir,
}

impl Registry {
    pub fn start() -> Registry {
        Registry::start_with("")
    }

    /// Starts it with more lines in the `http` section of its configuration, each indented by two
    /// spaces.
    pub fn start_with(http: &str) -> Registry {
        Registry::listen(|_| "127.0.0.1:0".to_owned(), http)
    }

    /// Starts it on a Unix socket, which can be reached from every network namespace.
    pub fn on_a_socket() -> Registry {
        Registry::listen(|folder| format!("{}\n  net: unix", folder.join("socket").display()), "")
    }

    fn listen(address: impl FnOnce(&Path) -> String, http: &str) -> Registry {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("config.yml");
        let data = folder.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: {}\n  secret: one\n{http}",
            data.display(),
            address(folder.path())
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child::spawn(command).expect("docker-registry is installed: tests/run.sh does it");
        let log = Lines::follow(child.stderr.take().unwrap());
        let listening = log.wait_for("the registry's address", |line| line.contains("listening on"));
        let address = listening.split("listening on ").nth(1).unwrap();
        let address = address.split(['"', ' ']).next().unwrap();
        let scheme = if address.starts_with('/') { "unix:" } else { "http://" };
        Registry { url: format!("{scheme}{address}"), child, _folder: folder }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
