//! The engine that replicas share: Debian's `redis-server` on a free port, with a password, and
//! with nothing on disk.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::authority::Authority;
use super::lines::Lines;
use super::tidegate::Settings;
use super::{DEADLINE, child};

/// The password of the engine.
pub const ENGINE_PASSWORD: &str = "engine-password-of-the-tests";

pub struct Redis {
    port: u16,
    /// The directives of its configuration beside those of every test.
    more: String,
    tls: bool,
    child: Child,
    folder: TempDir,
}

impl Redis {
    pub fn start() -> Redis {
        Redis::start_with("")
    }

    /// The same over TLS, with a certificate for localhost from an authority of its own.
    pub fn start_tls() -> Redis {
        Redis::run(true, "")
    }

    /// The same with more lines in its configuration.
    pub fn start_with(more: &str) -> Redis {
        Redis::run(false, more)
    }

    fn run(tls: bool, more: &str) -> Redis {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.issue("engine").write(folder.path(), "engine");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let password = folder.path().join("password");
        fs::write(&password, ENGINE_PASSWORD).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        // It does not report which port it got. So it gets one that was free a moment ago, until
        // that works.
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = serve(&folder, port, tls, more) {
                return Redis { port, more: more.to_owned(), tls, child, folder };
            }
        }
    }

    /// Ends it without a word. What it held is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same port, empty.
    pub fn restart(&mut self) {
        self.child = serve(&self.folder, self.port, self.tls, &self.more).expect("its port is still free");
    }

    /// Lets it stand still: its connections stay open, and it answers nothing.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    pub fn url(&self) -> String {
        format!("{}://localhost:{}", if self.tls { "rediss" } else { "redis" }, self.port)
    }

    /// Has a tidegate share its state here.
    pub fn shared_by(&self, settings: Settings) -> Settings {
        let file = |name: &str| format!("{:?}", self.folder.path().join(name));
        let settings = settings
            .set("shared.url", &format!("{:?}", self.url()))
            .set("shared.password_file", &file("password"));
        if self.tls { settings.set("shared.ca", &file("ca.crt")) } else { settings }
    }

    /// What redis-cli prints.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Follows every command that it gets from now on.
    pub fn monitor(&self) -> Monitor {
        let mut command = self.command();
        command.arg("MONITOR").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child::spawn(command).unwrap();
        let lines = Lines::follow(child.stdout.take().unwrap());
        lines.wait_for("the monitor", |line| line == "OK");
        Monitor { lines, child }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "localhost", "-p", &self.port.to_string()]).env("REDISCLI_AUTH", ENGINE_PASSWORD);
        if self.tls {
            command.arg("--tls").arg("--cacert").arg(self.folder.path().join("ca.crt"));
        }
        command
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `redis-cli MONITOR`.
pub struct Monitor {
    pub lines: Lines,
    child: Child,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and waits until it is ready. `None` if the port was taken.
fn serve(folder: &TempDir, port: u16, tls: bool, more: &str) -> Option<Child> {
    let ports = if tls { format!("port 0\ntls-port {port}") } else { format!("port {port}") };
    let text = format!(
        "bind 127.0.0.1\n{ports}\ntls-cert-file engine.crt\ntls-key-file engine.key\ntls-ca-cert-file ca.crt\ntls-auth-clients no\n\
         requirepass {ENGINE_PASSWORD}\nsave \"\"\nappendonly no\n{more}\n"
    );
    let text = if tls {
        text
    } else {
        text.lines().filter(|line| !line.starts_with("tls-")).collect::<Vec<_>>().join("\n")
    };
    fs::write(folder.path().join("redis.conf"), text).unwrap();
    let mut command = Command::new("redis-server");
    command.arg("redis.conf").current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child::spawn(command).expect("redis-server is installed: tests/run.sh does it");
    let log = Lines::follow(child.stdout.take().unwrap());
    let deadline = Instant::now() + DEADLINE;
    loop {
        if log.so_far().iter().any(|line| line.contains("Ready to accept connections")) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            let said = log.to_end().join("\n");
            assert!(said.contains("Address already in use"), "{said}");
            return None;
        }
        assert!(Instant::now() < deadline, "redis-server does not start");
        std::thread::yield_now();
    }
}
