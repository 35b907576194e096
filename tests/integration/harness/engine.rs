//! A Docker engine in a namespace with a private `/etc/docker`, where 192.0.2.1 is this machine.
//! Docker does not read certs.d for loopback addresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::child;
use super::lines::Lines;
use super::namespaces::Namespaces;
use super::tidegate::Settings;
use super::tools::{Run, run};

/// tidegate's address in the namespace, reserved for documentation (RFC 5737).
pub const ADDRESS: &str = "192.0.2.1";

pub struct Engine {
    namespaces: Namespaces,
    folder: TempDir,
    daemon: Child,
    log: Lines,
}

impl Engine {
    /// Starts the engine, which requires root. Without root, prints a note and returns `None`.
    pub fn start() -> Option<Engine> {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["etc", "etc/certs.d", "containers"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let script = format!(
            "mkdir -p /etc/docker; ip address add {ADDRESS}/32 dev lo; mount --bind {} /etc/docker",
            at("etc")
        );
        let namespaces = Namespaces::start("docker", &script)?;
        let mut command = Command::new("env");
        command.args(namespaces.runner()).arg("dockerd");
        command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec"));
        command.arg("--pidfile").arg(at("pid")).arg("--host").arg(format!("unix://{}", at("socket")));
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut daemon = child::spawn(command).expect("dockerd is installed: tests/run.sh does it");
        let log = Lines::follow(daemon.stderr.take().unwrap());
        log.wait_for("the Docker engine", |line| line.contains("API listen on"));
        Some(Engine { namespaces, folder, daemon, log })
    }

    /// Settings of a tidegate in the namespace, on a free port.
    pub fn settings(&self, upstream: &str) -> Settings {
        let settings = Settings::for_upstream(upstream)
            .set("server.listen", &format!("[{:?}]", format!("{ADDRESS}:0")))
            .run_by(self.namespaces.runner());
        settings.authority.issue_for("there", &[ADDRESS]).write(settings.path(), "server");
        settings
    }

    /// Creates an empty `/etc/docker/certs.d/HOST`.
    pub fn certificates(&self, host: &str) -> PathBuf {
        let folder = self.folder.path().join("etc/certs.d").join(host);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// Its address, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Runs a docker command.
    pub fn docker(&self, arguments: &[&str]) -> Run {
        run("docker", &[&["--host", &self.host()], arguments].concat())
    }

    /// Runs another program in the namespaces.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Run {
        self.namespaces.run(program, arguments)
    }

    /// The command prefix that runs a program in the namespaces.
    pub fn runner(&self) -> Vec<String> {
        self.namespaces.runner()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // On SIGTERM, the engine also ends its containerd.
        let daemon = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(daemon, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
        if std::thread::panicking() {
            eprintln!("dockerd said:\n{}", self.log.so_far().join("\n"));
        }
    }
}
