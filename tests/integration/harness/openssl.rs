//! `openssl s_client`: another TLS implementation, and one that can be controlled precisely.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::lines::Lines;
use super::tidegate::Tidegate;
use super::tools::run_reading;
use super::{DEADLINE, child};

/// Sends one request over a new connection. Returns everything that `s_client` prints about both.
pub fn talk(tidegate: &Tidegate, options: &[&str]) -> String {
    let folder = tidegate.settings.path();
    let request = folder.join("request");
    fs::write(&request, "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let (ca, address) = (folder.join("ca.crt"), tidegate.address.to_string());
    let mut arguments = vec!["s_client", "-ign_eof", "-verify_return_error", "-connect", &address];
    arguments.extend(["-servername", "localhost", "-CAfile", ca.to_str().unwrap()]);
    arguments.extend(options);
    let run = run_reading("openssl", &arguments, Stdio::from(File::open(&request).unwrap()));
    assert!(run.stdout.contains("HTTP/1.1 404"), "{}\n{}", run.stdout, run.stderr);
    run.stdout
}

pub struct OpenSsl {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The lines about the connection.
    pub said: Lines,
}

impl OpenSsl {
    /// Starts a client that verifies the certificate; `options` are those of `s_client`.
    ///
    /// A line that begins with one of the letters `B`, `K`, `k`, `Q` and `R` is a command to
    /// `s_client` and is not sent.
    pub fn connect(tidegate: &Tidegate, options: &[&str]) -> OpenSsl {
        let mut command = Command::new("timeout");
        command.arg(DEADLINE.as_secs().to_string()).args(["openssl", "s_client", "-brief"]);
        command.args(["-verify_return_error", "-servername", "localhost", "-CAfile"]);
        command.arg(tidegate.settings.path().join("ca.crt"));
        command.arg("-connect").arg(tidegate.address.to_string()).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child::spawn(command).unwrap();
        let said = Lines::follow(child.stderr.take().unwrap());
        let output = BufReader::new(child.stdout.take().unwrap());
        OpenSsl { input: child.stdin.take().unwrap(), output, said, child }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    /// Updates the keys for sending (RFC 8446, section 4.6.3). With `both`, asks the other side to
    /// update its keys too. Everything sent before must have arrived there; otherwise the command
    /// may be taken for data.
    pub fn update_keys(&mut self, both: bool) {
        let before = self.said.len();
        self.send(if both { b"K\n" } else { b"k\n" });
        self.said.wait_after(before, "the change of keys", |line| line == "KEYUPDATE");
    }

    /// Reads the next answer, which must have a Content-Length. Returns its status and length.
    pub fn head(&mut self) -> (u16, usize) {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "no answer came:\n{}", self.said.so_far().join("\n"));
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("Content-Length: ") {
                length = rest.trim_end().parse().unwrap();
            } else if line == "\r\n" {
                return (status, length);
            }
        }
    }

    pub fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        self.output.by_ref().take(length as u64).read_to_end(&mut body).unwrap();
        body
    }

    /// Whether the other side ends the connection with close_notify, without another byte.
    pub fn ends_cleanly(&mut self) -> bool {
        self.body(1).is_empty() && self.child.wait().unwrap().success()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
