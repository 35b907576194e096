//! The program under test, in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::authority::Authority;
use super::lines::Lines;
use super::{DEADLINE, PASSWORD, USER, admin, child};

/// The age from which on an htpasswd is not read again for each request, and connections remember
/// what they have proven.
pub const SETTLED: Duration = Duration::from_millis(300);

/// The content of proxy.toml, and its folder.
pub struct Settings {
    pub folder: TempDir,
    pub authority: Authority,
    values: BTreeMap<String, BTreeMap<String, String>>,
    tables: String,
    environment: Vec<(String, String)>,
    /// The wrapper command that runs the program, with arguments; empty for none.
    runner: Vec<String>,
    /// The program, if it is not the one that was built.
    program: Option<PathBuf>,
    /// The sockets that are passed to the program, as systemd does it.
    sockets: Vec<OwnedFd>,
}

impl Settings {
    /// A working proxy.toml for one upstream, as in the README: port 0, one certificate, one user.
    pub fn for_upstream(server: &str) -> Settings {
        let settings = Settings {
            folder: TempDir::new().unwrap(),
            authority: Authority::new(),
            values: BTreeMap::new(),
            tables: String::new(),
            environment: Vec::new(),
            runner: Vec::new(),
            program: None,
            sockets: Vec::new(),
        };
        settings.authority.issue("first").write(settings.path(), "server");
        fs::write(settings.path().join("ca.crt"), settings.authority.pem()).unwrap();
        settings.write_users(&[(USER, PASSWORD)]);
        settings
            .set("server.listen", r#"["127.0.0.1:0"]"#)
            .set("tls.certificate", r#""server.crt""#)
            .set("tls.key", r#""server.key""#)
            .set("upstream.servers", &format!("[{server:?}]"))
            .set("auth.htpasswd", r#""htpasswd""#)
    }

    /// Sets `section.key` to a TOML value.
    pub fn set(mut self, key: &str, value: &str) -> Settings {
        let (section, key) = key.split_once('.').unwrap();
        self.values.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Removes `section.key`.
    pub fn unset(mut self, key: &str) -> Settings {
        let (section, key) = key.split_once('.').unwrap();
        self.values.get_mut(section).unwrap().remove(key);
        self
    }

    /// Appends text: tables that are not sections of keys, such as `[[access]]`.
    pub fn tables(mut self, text: &str) -> Settings {
        self.tables.push_str(text);
        self
    }

    /// Sets an environment variable of the program.
    pub fn environment(mut self, name: &str, value: &str) -> Settings {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it through a wrapper command that executes it.
    pub fn run_by(mut self, runner: Vec<String>) -> Settings {
        self.runner = runner;
        self
    }

    /// Runs the program at another path.
    pub fn program(mut self, path: &Path) -> Settings {
        self.program = Some(path.to_owned());
        self
    }

    /// Passes listening sockets with their names, as systemd does it.
    pub fn pass(mut self, sockets: Vec<(&str, OwnedFd)>) -> Settings {
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        let (count, names) = (names.len().to_string(), names.join(":"));
        self.sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        let script = r#"export LISTEN_PID=$$; exec "$0" "$@""#;
        self.environment("LISTEN_FDS", &count)
            .environment("LISTEN_FDNAMES", &names)
            .run_by(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> PathBuf {
        self.path().join("proxy.toml")
    }

    /// Replaces the htpasswd file, with cheap hashes so that tests are fast.
    pub fn write_users(&self, users: &[(&str, &str)]) {
        self.write_users_at_cost(users, 4);
    }

    pub fn write_users_at_cost(&self, users: &[(&str, &str)], cost: u32) {
        let file = self.path().join("htpasswd");
        fs::write(&file, htpasswd(users, cost)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    }

    pub fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.values {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text + &self.tables
    }

    fn command(&self) -> Command {
        let built = || env!("CARGO_BIN_EXE_tidegate").to_owned();
        let program = self.program.as_ref().map_or_else(built, |path| path.display().to_string());
        let mut words = self.runner.iter().chain([&program]);
        let mut command = Command::new(words.next().unwrap_or(&program));
        command.args(words).arg("serve").arg("--config").arg(self.file());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("RUST_LOG");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program, which must refuse to start.
    pub fn refused(&self) -> Refusal {
        fs::write(self.file(), self.toml()).unwrap();
        self.refused_as_written()
    }

    /// Like `refused`, with the existing proxy.toml.
    pub fn refused_as_written(&self) -> Refusal {
        let mut child = child::spawn_with(self.command(), &self.sockets).unwrap();
        let stdout = Lines::follow(child.stdout.take().unwrap());
        let stderr = Lines::follow(child.stderr.take().unwrap());
        let status = wait(&mut child, "a refused start to end");
        let mut output = stdout.to_end();
        output.extend(stderr.to_end());
        Refusal { code: status.code().expect("it exits and is not killed"), output }
    }
}

pub struct Refusal {
    pub code: i32,
    pub output: Vec<String>,
}

pub fn htpasswd(users: &[(&str, &str)], cost: u32) -> String {
    users
        .iter()
        .map(|(user, password)| {
            let hash = bcrypt::hash_with_result(password, cost).unwrap();
            format!("{user}:{}\n", hash.format_for_version(bcrypt::Version::TwoY))
        })
        .collect()
}

/// A running tidegate; killed when dropped.
pub struct Tidegate {
    pub settings: Settings,
    pub address: SocketAddr,
    pub log: Lines,
    pub access: Lines,
    child: Child,
}

impl Tidegate {
    pub fn start(settings: Settings) -> Tidegate {
        let (child, log, access, address) = Tidegate::run(&settings);
        Tidegate { settings, address, log, access, child }
    }

    /// Stops the program gracefully and starts it again at the same addresses.
    pub fn restart(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        self.wait();
        let free = r#"["127.0.0.1:0"]"#;
        let has_admin = self.settings.values["server"].get("admin").is_some_and(|admin| admin == free);
        let admin = has_admin.then(|| admin::address(self));
        let server = self.settings.values.entry("server".to_owned()).or_default();
        for (key, address) in [("listen", Some(self.address)), ("admin", admin)] {
            if let Some(address) = address {
                server.insert(key.to_owned(), format!("[{:?}]", address.to_string()));
            }
        }
        (self.child, self.log, self.access, self.address) = Tidegate::run(&self.settings);
    }

    fn run(settings: &Settings) -> (Child, Lines, Lines, SocketAddr) {
        fs::write(settings.file(), settings.toml()).unwrap();
        let mut child = child::spawn_with(settings.command(), &settings.sockets).unwrap();
        let log = Lines::follow(child.stderr.take().unwrap());
        let access = Lines::follow(child.stdout.take().unwrap());
        let listening = log.wait_for("the listening line", |line| line.contains("listening"));
        // `address=1.2.3.4:5` in text, `"address":"1.2.3.4:5"` in JSON.
        let (_, address) = listening.split_once("address").expect("the line names the address");
        let address = address.trim_start_matches(['=', '"', ':']).split([' ', '"']).next().unwrap();
        (child, log, access, address.parse().unwrap())
    }

    /// The address for plain HTTP.
    pub fn plain(&self) -> SocketAddr {
        let line = self.log.wait_for("the plain listener", |line| line.contains("listening for plain HTTP"));
        line.split_once("address=").unwrap().1.parse().unwrap()
    }

    /// The host that clients use: localhost and the port.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the program to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, "tidegate to end")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// From now on, the program cannot write to files: every write fails.
    pub fn forbid_files(&self) {
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, none).unwrap();
    }

    /// The size that files may have from now on; `None` for any.
    pub fn limit_files(&self, most: Option<u64>) {
        let limit = rustix::process::Rlimit { current: most, maximum: None };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).unwrap();
    }

    /// Limits the descriptors that it may have open from now on.
    pub fn limit_descriptors(&self, count: usize) {
        let pid = Some(rustix::process::Pid::from_child(&self.child));
        let files = rustix::process::Resource::Nofile;
        // Its hard limit is inherited from this process.
        let maximum = rustix::process::getrlimit(files).maximum;
        let limit = rustix::process::Rlimit { current: Some(count as u64), maximum };
        rustix::process::prlimit(pid, files, limit).unwrap();
    }

    /// Open descriptors. Only root may list them; since Linux 6.2 the size of the directory is
    /// their number.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        fs::read_dir(&folder)
            .map_or_else(|_| fs::metadata(&folder).unwrap().len() as usize, |entries| entries.count())
    }

    /// Waits until it has at most `most` descriptors open.
    pub fn wait_for_descriptors(&self, most: usize) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while self.descriptors() > most {
            let left = deadline > Instant::now();
            assert!(left, "{} descriptors stay open, and not {most}", self.descriptors());
            // There is no event for a closed descriptor. The wait ends early if the process ends.
            let mut end = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            let step = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            assert_eq!(rustix::event::poll(&mut end, Some(&step)), Ok(0), "tidegate has ended");
        }
    }

    /// The memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most memory it has held so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// User and system time so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("tidegate said:\n{}", self.log.so_far().join("\n"));
        }
    }
}

/// `Child::wait` with a deadline.
fn wait(child: &mut Child, what: &str) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(child);
    let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let mut poll = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = child.kill();
            panic!("waited too long for {what}");
        }
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 0 };
        if rustix::event::poll(&mut poll, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            return child.wait().unwrap();
        }
    }
}
