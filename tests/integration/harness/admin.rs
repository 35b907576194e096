//! A client of the admin listener: one request for each connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::tidegate::{Settings, Tidegate};
use super::{DEADLINE, http1};

/// An answer as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn read(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.replace('\r', ""), body: body.to_owned() }
    }
}

/// Settings with an admin listener on a port that the system chooses.
pub fn settings(upstream: &str) -> Settings {
    Settings::for_upstream(upstream).set("server.admin", r#"["127.0.0.1:0"]"#)
}

/// The address of the admin listener.
pub fn address(tidegate: &Tidegate) -> SocketAddr {
    let line = tidegate.log.wait_for("the admin listener", |line| {
        line.contains("listening for health and metrics") && !line.contains("unix:")
    });
    line.split_once("address=").unwrap().1.parse().unwrap()
}

/// Asks over TCP. `line` is method and target.
pub fn ask(tidegate: &Tidegate, line: &str, fields: &[&str]) -> Answer {
    exchange(TcpStream::connect(address(tidegate)).unwrap(), line, fields).unwrap()
}

/// Asks over a socket of the file system.
pub fn ask_socket(path: &Path, line: &str, fields: &[&str]) -> Answer {
    exchange(UnixStream::connect(path).unwrap(), line, fields).unwrap()
}

/// Asks over any connection.
pub fn exchange(mut socket: impl Read + Write, line: &str, fields: &[&str]) -> io::Result<Answer> {
    let fields = [fields, &["Connection: close"]].concat();
    socket.write_all(http1::head(line, &fields).as_bytes())?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(Answer::read(&String::from_utf8_lossy(&answer)))
}

/// Asks again and again until the answer is as wanted, and returns how long that took.
pub fn wait_for(tidegate: &Tidegate, line: &str, wanted: impl Fn(&Answer) -> bool) -> Duration {
    let start = Instant::now();
    loop {
        let answer = ask(tidegate, line, &[]);
        if wanted(&answer) {
            return start.elapsed();
        }
        assert!(start.elapsed() < DEADLINE, "{line} still answers {answer:?}");
        // There is no event to wait for: this is how a balancer asks, too.
        std::thread::sleep(Duration::from_millis(20));
    }
}
