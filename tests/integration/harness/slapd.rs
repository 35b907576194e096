//! A directory: Debian's slapd, with the people and groups of `tests/data/ldap/directory.ldif`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::authority::Authority;
use super::lines::Lines;
use super::tidegate::Settings;
use super::tools::succeed;
use super::{DEADLINE, child};

pub struct Slapd {
    pub folder: TempDir,
    /// What its operations were.
    pub log: Lines,
    /// For `ldap://` and `ldaps://`.
    ports: (u16, u16),
    child: Child,
}

impl Slapd {
    /// With a certificate of a private authority.
    pub fn start() -> Slapd {
        Slapd::start_with(true)
    }

    /// One that knows no TLS.
    pub fn start_without_tls() -> Slapd {
        Slapd::start_with(false)
    }

    fn start_with(has_tls: bool) -> Slapd {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
        let at = |name: &str| folder.path().join(name).display().to_string();
        authority.issue("slapd").write(folder.path(), "slapd");
        fs::write(at("ca.crt"), authority.pem()).unwrap();
        let password = at("door-password");
        fs::write(&password, "door-password\n").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let tls = format!(
            "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}",
            at("ca.crt"),
            at("slapd.crt"),
            at("slapd.key")
        );
        let text = include_str!("../../data/ldap/slapd.conf");
        let text = text.replace("FOLDER/", &at("")).replace("MORE", if has_tls { &tls } else { "" });
        fs::write(at("slapd.conf"), text).unwrap();
        fs::create_dir(at("db")).unwrap();
        fs::write(at("directory.ldif"), include_str!("../../data/ldap/directory.ldif")).unwrap();
        succeed("slapadd", &["-f", &at("slapd.conf"), "-l", &at("directory.ldif")]);
        // It does not report which ports it got. So it gets two that were free a moment ago, until
        // that works.
        loop {
            let ports = (free_port(), free_port());
            if let Some((child, log)) = serve(&folder, ports) {
                return Slapd { folder, log, ports, child };
            }
        }
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was. Its log begins anew.
    pub fn restart(&mut self) {
        (self.child, self.log) = serve(&self.folder, self.ports).expect("its ports are still free");
    }

    /// Lets it stand still: it accepts connections, and answers nothing.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    pub fn ldaps(&self) -> String {
        format!("ldaps://localhost:{}", self.ports.1)
    }

    /// The same with STARTTLS.
    pub fn ldap(&self) -> String {
        format!("ldap://localhost:{}", self.ports.0)
    }

    /// Has people of this directory log in to a tidegate.
    pub fn judging(&self, settings: Settings, server: &str) -> Settings {
        let file = |name: &str| format!("{:?}", self.folder.path().join(name));
        settings
            .set("auth.ldap.servers", &format!("[{server:?}]"))
            .set("auth.ldap.ca", &file("ca.crt"))
            .set("auth.ldap.bind_dn", r#""cn=door,dc=example,dc=org""#)
            .set("auth.ldap.bind_password", &file("door-password"))
            .set("auth.ldap.base", r#""dc=example,dc=org""#)
            .set("auth.ldap.group_base", r#""ou=groups,dc=example,dc=org""#)
    }

    /// How often somebody has tried to log in with a DN that begins like this.
    pub fn binds(&self, dn: &str) -> usize {
        let begin = format!("BIND dn=\"{dn}");
        self.log.so_far().iter().filter(|line| line.contains(&begin) && line.contains("method=128")).count()
    }

    /// Changes entries, as the administrator of the directory.
    pub fn change(&self, ldif: &str) {
        let file = self.folder.path().join("changes.ldif");
        fs::write(&file, ldif).unwrap();
        let url = format!("ldapi://{}", self.socket().display().to_string().replace('/', "%2F"));
        let administrator = ["-x", "-D", "cn=root,dc=example,dc=org", "-w", "root-password"];
        let rest = ["-H", &url, "-f", &file.display().to_string()];
        succeed("ldapmodify", &[&administrator[..], &rest].concat());
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("ldapi")
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts it and waits until it listens. `None` if a port was taken.
fn serve(folder: &TempDir, (plain, tls): (u16, u16)) -> Option<(Child, Lines)> {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let urls = format!(
        "ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls} ldapi://{}",
        at("ldapi").replace('/', "%2F")
    );
    let mut command = Command::new("slapd");
    command.args(["-d", "stats", "-f", &at("slapd.conf"), "-h", &urls]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child::spawn(command).expect("slapd is installed: tests/run.sh does it");
    let log = Lines::follow(child.stderr.take().unwrap());
    let deadline = Instant::now() + DEADLINE;
    loop {
        // It says that it starts before it listens.
        let is_there = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
        let is_starting = log.so_far().iter().any(|line| line.contains("slapd starting"));
        if is_starting && is_there(plain) && is_there(tls) {
            return Some((child, log));
        }
        if child.try_wait().unwrap().is_some() {
            let said = log.to_end().join("\n");
            assert!(said.contains("Address already in use"), "{said}");
            return None;
        }
        assert!(Instant::now() < deadline, "slapd does not start");
        std::thread::yield_now();
    }
}
