//! What the service manager is told (sd_notify(3)). Without one, nothing.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Where the messages go, and how often the manager wants to hear of us.
const SOCKET: &str = "NOTIFY_SOCKET";
pub(crate) const WATCHDOG: &str = "WATCHDOG_USEC";
pub(crate) const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// Longest wait for a manager that reads nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most characters of a status.
const LONGEST: usize = 500;

/// The service manager, if it asked to be told.
#[derive(Debug)]
pub(crate) struct Manager {
    address: Option<SocketAddr>,
    /// The time between two signs of life.
    watchdog: Option<Duration>,
    status: RefCell<String>,
    /// Whether another process speaks now.
    is_silent: Cell<bool>,
}

impl Manager {
    /// The manager that the environment of the process names.
    pub(crate) fn of_environment() -> Self {
        let address = env::var_os(SOCKET).and_then(|address| socket_address(&address).ok());
        let number = |name| env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
        let is_for_us = number(WATCHDOG_PID).is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number(WATCHDOG).filter(|micros| *micros > 0 && is_for_us);
        Self {
            address,
            watchdog: watchdog.map(|micros| Duration::from_micros(micros) / 3),
            status: RefCell::default(),
            is_silent: Cell::new(false),
        }
    }

    /// How often [`Manager::alive`] is to be called, if at all: three times before the manager
    /// loses its patience.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.address.is_some())
    }

    /// The start or a reload is over, and the process serves.
    pub(crate) fn ready(&self, status: &str) {
        self.status.replace(status.to_owned());
        self.send(&["READY=1", &status_line(status)]);
    }

    /// A reload begins. It ends with [`Manager::ready`], however it went.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&["RELOADING=1", &format!("MONOTONIC_USEC={micros}")]);
    }

    /// Another process is the one that serves from now on. This one says nothing more.
    pub(crate) fn replaced_by(&self, pid: u32) {
        // In one message: the manager believes only the process that it watches.
        self.send(&[&format!("MAINPID={pid}"), "READY=1", "STATUS=serving"]);
        self.is_silent.set(true);
    }

    /// The process stops.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&["STOPPING=1", &status_line(status)]);
    }

    /// Says how things are, unless that was said last.
    pub(crate) fn status(&self, status: &str) {
        if self.status.replace(status.to_owned()) != status {
            self.send(&[&status_line(status)]);
        }
    }

    /// Every part of the process does its work.
    pub(crate) fn alive(&self) {
        self.send(&["WATCHDOG=1"]);
    }

    fn send(&self, lines: &[&str]) {
        let Some(address) = self.address.as_ref().filter(|_| !self.is_silent.get()) else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect_addr(address)?;
            socket.send(lines.join("\n").as_bytes())
        });
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot tell the service manager {}", lines.join(" "));
        }
    }
}

/// A path, or a name that is in no file system after `@`.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(address),
    }
}

/// One line, whatever is in it.
fn status_line(status: &str) -> String {
    let clean = status.chars().take(LONGEST).map(|char| if char.is_control() { ' ' } else { char });
    format!("STATUS={}", clean.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = Some(socket_address(path.as_os_str()).unwrap());
        let manager =
            Manager { address, watchdog: None, status: RefCell::default(), is_silent: Cell::new(false) };
        let told = || {
            let mut buffer = [0; 2000];
            let length = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        manager.ready("serving");
        assert_eq!(told().unwrap(), "READY=1\nSTATUS=serving");
        manager.status("serving");
        assert_eq!(told(), None);
        manager.status("wrong:\nREADY=1");
        assert_eq!(told().unwrap(), "STATUS=wrong: READY=1");
        manager.status(&"x".repeat(1000));
        assert_eq!(told().unwrap().len(), "STATUS=".len() + LONGEST);
        manager.reloading();
        let micros = told().unwrap().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<u64>();
        assert!(micros.unwrap() > 0);
        manager.alive();
        assert_eq!(told().unwrap(), "WATCHDOG=1");
    }

    #[test]
    fn a_name_outside_of_the_file_system_is_understood() {
        let address = socket_address(OsStr::new("@tidegate/notify")).unwrap();
        assert_eq!(address.as_abstract_name(), Some(&b"tidegate/notify"[..]));
    }
}
