//! Services that judge passwords, as operators run them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::authority::Authority;
use super::child;
use super::lines::Lines;

/// Debian keeps it in sbin, which not every user has in PATH.
pub const NGINX: &str = "/usr/sbin/nginx";

/// A running service; killed when dropped.
pub struct Service {
    pub url: String,
    pub folder: TempDir,
    log: Lines,
    child: Child,
}

/// Where `deploy/auth-service.py` listens.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    Port,
    Socket,
}

impl Service {
    /// `deploy/auth-service.py` with these users. It judges nobody without the secret.
    pub fn of_python(place: Place, users: &str, secret: &str) -> Service {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("users"), users).unwrap();
        fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
        let (child, log, url) = python(place, folder.path());
        Service { url, folder, log, child }
    }

    /// Starts `deploy/auth-service.py` again at its socket.
    pub fn restart(&mut self) {
        (self.child, self.log, _) = python(Place::Socket, self.folder.path());
    }

    /// nginx with a `server`, which listens at 127.0.0.1:8080 in the text and at a socket here.
    pub fn of_nginx(server: &str) -> Service {
        let folder = TempDir::new().unwrap();
        let url = format!("unix:{}", folder.path().join("auth.sock").display());
        let file = nginx_settings(&server.replace("127.0.0.1:8080", &url), folder.path());
        let mut command = Command::new(NGINX);
        command.args(["-e", "stderr", "-c"]).arg(file);
        let (child, log) = run(command);
        // The socket is there by then.
        log.wait_for("nginx to listen", |line| line.contains("event method"));
        Service { url, folder, log, child }
    }

    /// caddy with a site, which is `https://auth.internal` in the text and has a certificate of the
    /// authority.
    pub fn of_caddy(site: &str, authority: &Authority) -> Service {
        let folder = TempDir::new().unwrap();
        authority.issue("auth").write(folder.path(), "auth");
        // It inherits no socket, so it gets a port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("https://localhost:{port}");
        let site = site
            .replace("https://auth.internal", &url)
            .replace("/etc/caddy", folder.path().to_str().unwrap());
        let options = "{\n  admin off\n  auto_https off\n  skip_install_trust\n  default_bind 127.0.0.1\n  servers {\n    \
                       protocols h1\n  }\n}\n";
        fs::write(folder.path().join("Caddyfile"), format!("{options}{site}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.path().join("Caddyfile"));
        command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path());
        let (child, log) = run(command);
        log.wait_for("caddy to listen", |line| line.contains("serving initial configuration"));
        Service { url, folder, log, child }
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the service said:\n{}", self.log.so_far().join("\n"));
        }
    }
}

fn python(place: Place, folder: &Path) -> (Child, Lines, String) {
    let (program, socket) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/auth-service.py"), folder.join("auth.sock"));
    let mut command = Command::new("python3");
    command.arg(program).arg(if place == Place::Port { "0".as_ref() } else { socket.as_os_str() });
    command.arg(folder.join("users")).arg(folder.join("secret"));
    let (mut child, log) = run(command);
    let output = Lines::follow(child.stdout.take().unwrap());
    // `listening ('127.0.0.1', 40123)`, or the path.
    let line = output.wait_for("the service to listen", |line| line.starts_with("listening"));
    let port = line.rsplit(' ').next().unwrap().trim_end_matches(')');
    let url = match place {
        Place::Port => format!("http://127.0.0.1:{port}/"),
        Place::Socket => format!("unix:{}", socket.display()),
    };
    (child, log, url)
}

/// A whole file for nginx with one `server`. Its file of users is in `folder` too.
pub fn nginx_settings(server: &str, folder: &Path) -> PathBuf {
    let at = folder.display();
    let server = server.replace("/etc/nginx", folder.to_str().unwrap());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {at}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr notice;\nevents {{}}\n\
         http {{\n  access_log off;\n{temporary}{server}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text).unwrap();
    file
}

fn run(mut command: Command) -> (Child, Lines) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_owned();
    let started = child::spawn(command);
    let mut child = started.unwrap_or_else(|error| panic!("{program:?}: {error}; tests/run.sh installs it"));
    let log = Lines::follow(child.stderr.take().unwrap());
    (child, log)
}
