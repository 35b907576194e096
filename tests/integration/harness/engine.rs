//! A Docker engine in a namespace with a private `/etc/docker`, where 192.0.2.1 is this machine.
//! Docker does not read certs.d for loopback addresses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::child;
use super::lines::Lines;
use super::tidegate::Settings;
use super::tools::{Run, run};

/// tidegate's address in the namespace, reserved for documentation (RFC 5737).
pub const ADDRESS: &str = "192.0.2.1";

pub struct Engine {
    folder: TempDir,
    /// Keeps the namespaces.
    holder: Child,
    daemon: Child,
    log: Lines,
}

impl Engine {
    /// Starts the engine, which requires root. Without root, prints a note and returns `None`.
    pub fn start() -> Option<Engine> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nothing is tested with docker");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["etc", "etc/certs.d", "containers"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let script = format!(
            "set -e; mkdir -p /etc/docker; ip link set lo up; ip address add {ADDRESS}/32 dev lo; \
             mount --bind {} /etc/docker; echo ready; exec sleep 3600",
            at("etc")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", &script]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut holder = child::spawn(command).unwrap();
        let said = Lines::follow(holder.stdout.take().unwrap());
        said.wait_for("the namespaces", |line| line == "ready");

        let mut command = inside(&holder, "dockerd");
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
        Some(Engine { folder, holder, daemon, log })
    }

    /// The command prefix that runs a program in the namespaces.
    pub fn runner(&self) -> Vec<String> {
        let namespaces = format!("--target={}", self.holder.id());
        ["nsenter", &namespaces, "--mount", "--net", "--"].map(str::to_owned).to_vec()
    }

    /// Settings of a tidegate in the namespace, on a free port.
    pub fn settings(&self, upstream: &str) -> Settings {
        let settings = Settings::for_upstream(upstream)
            .set("server.listen", &format!("[{:?}]", format!("{ADDRESS}:0")))
            .run_by(self.runner());
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

    /// Runs a docker command.
    pub fn docker(&self, arguments: &[&str]) -> Run {
        let host = format!("unix://{}", self.folder.path().join("socket").display());
        run("docker", &[&["--host", &host], arguments].concat())
    }

    /// Runs another program in the namespaces.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let runner = self.runner();
        let words: Vec<_> = runner.iter().map(String::as_str).chain([program]).collect();
        run(words[0], &[&words[1..], arguments].concat())
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
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if std::thread::panicking() {
            eprintln!("dockerd said:\n{}", self.log.so_far().join("\n"));
        }
    }
}

fn inside(holder: &Child, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={}", holder.id())).args(["--mount", "--net", "--", program]);
    command
}
