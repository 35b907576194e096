//! A real registry: Debian's `docker-registry` on a free port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::child;
use super::lines::Lines;

pub struct Registry {
    /// Its URL for `upstream.servers`.
    url: String,
    child: Child,
    /// Its configuration, and its storage unless that is shared.
    _folder: TempDir,
    /// Shared with other registries.
    storage: Option<PathBuf>,
}

impl Registry {
    pub fn start() -> Registry {
        Registry::start_with("")
    }

    /// Starts it with more lines in the `http` section of its configuration, each indented by two
    /// spaces.
    pub fn start_with(http: &str) -> Registry {
        Registry::listen(&[], |_| "127.0.0.1:0".to_owned(), http, None)
    }

    /// Starts it on a port, or on a free one, with a storage that others have too.
    pub fn sharing(storage: &Path, port: u16) -> Registry {
        Registry::listen(&[], |_| format!("127.0.0.1:{port}"), "", Some(storage))
    }

    /// Starts it at an address of another machine, with a storage that others have too.
    pub fn elsewhere(runner: &[String], address: &str, storage: &Path) -> Registry {
        Registry::listen(runner, |_| address.to_owned(), "", Some(storage))
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same address, with the same storage if that is shared.
    pub fn restart(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        *self = Registry::sharing(&self.storage.clone().unwrap(), port);
    }

    /// Starts it on a Unix socket, which can be reached from every network namespace.
    pub fn on_a_socket() -> Registry {
        Registry::on_a_socket_with("")
    }

    /// The same with more lines, as for `start_with`.
    pub fn on_a_socket_with(http: &str) -> Registry {
        Registry::listen(
            &[],
            |folder| format!("{}\n  net: unix", folder.join("socket").display()),
            http,
            None,
        )
    }

    fn listen(
        runner: &[String],
        address: impl FnOnce(&Path) -> String,
        http: &str,
        storage: Option<&Path>,
    ) -> Registry {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("config.yml");
        let data = storage.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: {}\n  secret: one\n{http}",
            data.display(),
            address(folder.path())
        );
        fs::write(&file, text).unwrap();
        let program = "docker-registry".to_owned();
        let mut words = runner.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap_or(&program));
        command
            .args(words)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = child::spawn(command).expect("docker-registry is installed: tests/run.sh does it");
        let log = Lines::follow(child.stderr.take().unwrap());
        let listening = log.wait_for("the registry's address", |line| line.contains("listening on"));
        let address = listening.split("listening on ").nth(1).unwrap();
        let address = address.split(['"', ' ']).next().unwrap();
        let scheme = if address.starts_with('/') { "unix:" } else { "http://" };
        Registry {
            url: format!("{scheme}{address}"),
            child,
            _folder: folder,
            storage: storage.map(Path::to_owned),
        }
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
