//! A real haproxy before tidegate, in TCP mode.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::child;
use super::lines::Lines;

/// Debian keeps it in sbin, which not every user has in PATH.
pub const PROGRAM: &str = "/usr/sbin/haproxy";

/// A running haproxy; killed when dropped.
pub struct Haproxy {
    /// Where it accepts connections.
    pub address: SocketAddr,
    log: Lines,
    child: Child,
    _folder: TempDir,
}

impl Haproxy {
    /// One that passes everything on to `server`, whose line ends with `options`.
    pub fn before(server: SocketAddr, options: &str) -> Haproxy {
        let folder = TempDir::new().unwrap();
        // Inherited, so that the port is known and nobody else takes it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
             frontend door\n  bind fd@{}\n  unique-id-format %{{+X}}o%ci:%cp\n  default_backend tidegate\n\
             backend tidegate\n  server one {server} {options}\n",
            listener.as_raw_fd()
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child::spawn(command).unwrap();
        let log = Lines::follow(child.stderr.take().unwrap());
        Haproxy { address: listener.local_addr().unwrap(), log, child, _folder: folder }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("haproxy said:\n{}", self.log.so_far().join("\n"));
        }
    }
}
