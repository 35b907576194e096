//! Directories for tests: Debian's slapd, and servers that are none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Ldap;
use crate::auth::judgement::{Attempt, Judgement};
use crate::auth::throttle::Throttle;
use crate::config::{self, LdapServer};
use crate::ldap::Filter;
use crate::network::Network;
use crate::pki::SystemRoots;
use crate::pki::fixtures::{Folder, Signer};
use crate::problem::Problems;
use crate::secret::Secret;

pub(super) const BASE: &str = "dc=example,dc=org";

/// A slapd with the people of `tests/data/ldap/directory.ldif`, at a socket and at two ports.
pub(super) struct Slapd {
    pub(super) folder: Folder,
    /// For `ldap://` and for `ldaps://`.
    ports: (u16, u16),
    child: Child,
    /// Where its log begins, behind what its start has left there.
    begun: usize,
}

impl Slapd {
    pub(super) fn start() -> Self {
        Self::start_with("", "")
    }

    /// With more lines in its configuration, and more entries.
    pub(super) fn start_with(more: &str, entries: &str) -> Self {
        let folder = Folder::new();
        let signer = Signer::new("directory");
        let (certificate, key) = signer.server(&["localhost", "127.0.0.1"]);
        folder.pair("slapd", &certificate.pem(), &key);
        folder.write("ca.crt", signer.certificate.pem());
        let shown = |name: &str| folder.path(name).display().to_string();
        let tls = format!(
            "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n",
            shown("ca.crt"),
            shown("slapd.crt"),
            shown("slapd.key")
        );
        let more = if more == "no TLS" { String::new() } else { format!("{tls}{more}") };
        let text = include_str!("../../../tests/data/ldap/slapd.conf");
        folder.write("slapd.conf", text.replace("FOLDER", &shown("")).replace("MORE", &more));
        fs::create_dir(folder.path("db")).unwrap();
        let entries = format!("{}\n{entries}", include_str!("../../../tests/data/ldap/directory.ldif"));
        folder.write("directory.ldif", entries);
        let mut load = Command::new("slapadd");
        load.arg("-f").arg(folder.path("slapd.conf")).arg("-l").arg(folder.path("directory.ldif"));
        let loaded = load.output().expect("slapd is installed: tests/run.sh does it");
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        loop {
            let ports = (free_port(), free_port());
            if let Some(child) = serve(&folder, ports) {
                let begun = fs::read(folder.path("log")).unwrap().len();
                return Self { folder, ports, child, begun };
            }
        }
    }

    pub(super) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(super) fn start_again(&mut self) {
        self.child = serve(&self.folder, self.ports).expect("its ports are still free");
    }

    pub(super) fn socket(&self) -> LdapServer {
        LdapServer::Unix(self.folder.path("ldapi"))
    }

    pub(super) fn start_tls(&self) -> LdapServer {
        LdapServer::StartTls { host: "localhost".to_owned(), port: self.ports.0 }
    }

    pub(super) fn tls(&self) -> LdapServer {
        LdapServer::Tls { host: "127.0.0.1".to_owned(), port: self.ports.1 }
    }

    /// With its search account, and groups.
    pub(super) fn settings(&self, servers: Vec<LdapServer>) -> config::Ldap {
        let password = self.folder.write("door-password", "door-password\n");
        config::Ldap {
            ca: Some(self.folder.path("ca.crt")),
            bind_dn: Some("cn=door,dc=example,dc=org".to_owned()),
            bind_password: Some(password),
            group_base: Some(format!("ou=groups,{BASE}")),
            ..settings(servers)
        }
    }

    /// The lines of its log that hold all of these words.
    pub(super) fn log(&self, words: &[&str]) -> Vec<String> {
        let log = fs::read(self.folder.path("log")).unwrap();
        let log = String::from_utf8_lossy(&log[self.begun..]);
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
    }

    /// How often somebody has tried to log in with a DN that begins like this.
    pub(super) fn binds(&self, dn: &str) -> usize {
        self.log(&[" BIND ", "method=128", &format!("dn=\"{dn}")]).len()
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Anonymous searches and no groups.
pub(super) fn settings(servers: Vec<LdapServer>) -> config::Ldap {
    config::Ldap {
        servers,
        ca: None,
        bind_dn: None,
        bind_password: None,
        base: BASE.to_owned(),
        filter: Filter::parse("(uid=${user})").unwrap(),
        user_attribute: "uid".to_owned(),
        group_base: None,
        group_filter: Filter::parse("(member=${dn})").unwrap(),
        group_attribute: "cn".to_owned(),
        nested: 0,
        timeout: Duration::from_secs(20),
        connections: 4,
        failures: 0,
        window: Duration::from_mins(15),
    }
}

/// A directory whose rules name these groups.
pub(super) fn ldap(settings: &config::Ldap, wanted: &[&str]) -> Arc<Ldap> {
    let wanted = wanted.iter().map(|name| format!("ldap:{name}")).collect();
    build(settings, 64, Duration::from_mins(5), &wanted, None).unwrap()
}

pub(super) fn build(
    settings: &config::Ldap,
    queue: usize,
    memory: Duration,
    wanted: &BTreeSet<String>,
    before: Option<&Arc<Ldap>>,
) -> Result<Arc<Ldap>, Problems> {
    Ldap::build(settings, queue, memory, wanted, &SystemRoots::default(), before)
}

/// A login from an address of its own.
pub(super) fn attempt(name: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Attempt {
    attempt_from(1, &throttle(0), name, password)
}

pub(super) fn attempt_from(
    host: u8,
    throttle: &Throttle,
    name: impl AsRef<[u8]>,
    password: impl AsRef<[u8]>,
) -> Attempt {
    Attempt {
        network: Network::of([192, 0, 2, host].into()),
        name: name.as_ref().to_vec(),
        password: Secret::new(password.as_ref()),
        throttle: throttle.clone(),
    }
}

pub(super) fn throttle(failures: usize) -> Throttle {
    let minute = Duration::from_mins(1);
    Throttle::new(config::Throttle { failures, window: minute, delay: minute })
}

/// The name in the spelling of the directory, or the judgement.
pub(super) async fn login(ldap: &Ldap, name: &str, password: &str) -> Result<String, Judgement> {
    match ldap.judge(attempt(name, password)).await {
        Judgement::Right(person) => Ok(person.user.to_string()),
        other => Err(other),
    }
}

/// A server at a socket that answers each request, by the tag of its operation and its id. `None`
/// is silence.
pub(super) fn server(
    answer: impl Fn(u8, u8) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Folder, LdapServer) {
    let folder = Folder::new();
    let path = folder.path("ldapi");
    let (listener, answer) = (UnixListener::bind(&path).unwrap(), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    let length = if bytes[1] & 0x80 == 0 { 0 } else { usize::from(bytes[1] & 0x7f) };
                    let Some(answer) = answer(bytes[length + 5], bytes[length + 4]) else { continue };
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (folder, LdapServer::Unix(path))
}

pub(super) const SEARCH: u8 = 0x63;
pub(super) const BIND: u8 = 0x60;

/// The end of the operation `id`.
pub(super) fn ended(tag: u8, id: u8, code: u8) -> Vec<u8> {
    vec![0x30, 12, 2, 1, id, tag + 1 + u8::from(tag == SEARCH), 7, 0x0a, 1, code, 4, 0, 4, 0]
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts it and waits until it listens. `None` if a port was taken.
fn serve(folder: &Folder, (plain, tls): (u16, u16)) -> Option<Child> {
    let socket = folder.path("ldapi").display().to_string().replace('/', "%2F");
    let log = File::options().append(true).create(true).open(folder.path("log")).unwrap();
    let begun = usize::try_from(log.metadata().unwrap().len()).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "slapd", "-d", "stats", "-f"]).arg(folder.path("slapd.conf"));
    command.args(["-h", &format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls} ldapi://{socket}")]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("util-linux is installed");
    let mut asked = 0;
    loop {
        let log = fs::read(folder.path("log")).unwrap();
        let said = String::from_utf8_lossy(&log[begun..]).into_owned();
        // It says so before it listens.
        if said.contains("slapd starting") && is_there(folder, (plain, tls), begun, &mut asked) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            assert!(said.contains("Address already in use"), "{said}");
            return None;
        }
        thread::yield_now();
    }
}

/// Whether all of its listeners accept. Waits until the log has said everything about those that
/// were `asked`.
fn is_there(folder: &Folder, ports: (u16, u16), begun: usize, asked: &mut usize) -> bool {
    let socket = UnixStream::connect(folder.path("ldapi")).is_ok();
    let [plain, tls] = [ports.0, ports.1].map(|port| TcpStream::connect(("127.0.0.1", port)).is_ok());
    *asked += [socket, plain, tls].into_iter().filter(|is_there| *is_there).count();
    let is_there = socket && plain && tls;
    let all = *asked;
    let are_closed = || {
        let log = fs::read(folder.path("log")).unwrap();
        String::from_utf8_lossy(&log[begun..]).matches(" closed").count() >= all
    };
    while is_there && !are_closed() {
        thread::yield_now();
    }
    is_there
}
