//! What a peer says about its version and its TLS library.

use std::path::Path;
use std::process::Command;

use super::Peer;
use crate::failure::Outcome;
use crate::process::path;

/// The crates of this build.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Clone)]
pub struct Version {
    /// Such as `1.30.6`.
    pub number: String,
    /// Such as `OpenSSL 3.6.5`.
    pub tls: String,
}

impl Version {
    /// Asks the program. It is an error if it is not installed.
    pub fn of(peer: Peer, program: &Path) -> Outcome<Version> {
        let says = |arguments: &[&str]| -> Outcome<String> {
            let output = Command::new(program).args(arguments).env("PATH", path()).output();
            let output = output.map_err(|failure| format!("{}: {failure}", program.display()))?;
            // nginx writes to the other one.
            Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        let rustls = || format!("rustls {}", after(LOCK, "name = \"rustls\"\nversion = \""));
        let (number, tls) = match peer {
            Peer::Tidegate => (after(&says(&["--version"])?, "tidegate "), rustls()),
            Peer::TidegateBefore => {
                let name = program.file_name().unwrap_or_default().to_string_lossy();
                (after(&says(&["--version"])?, "tidegate "), format!("rustls; {name}"))
            }
            Peer::Nginx | Peer::NginxTuned => {
                let said = says(&["-V"])?;
                let running = after(&said, "running with OpenSSL ");
                // nginx names one library if it was built with the one that it runs with.
                let tls = if running.is_empty() { after(&said, "OpenSSL ") } else { running };
                (after(&said, "nginx/"), format!("OpenSSL {tls}"))
            }
            Peer::Haproxy => {
                let said = says(&["-vv"])?;
                let tls = after(&said, "Running on SSL library version : OpenSSL ");
                (after(&said, "HAProxy version "), format!("OpenSSL {tls}"))
            }
            Peer::Caddy => {
                let number = says(&["version"])?.trim_start_matches('v').to_owned();
                (after(&number, ""), format!("Go {}", after(&says(&["build-info"])?, "go\tgo")))
            }
            Peer::Floor => (env!("CARGO_PKG_VERSION").to_owned(), rustls()),
            // It says a commit, the version, and the name of the library.
            Peer::Envoy => {
                let said = says(&["--version"])?;
                let said = said.split_once("version: ").map_or("", |(_, rest)| rest);
                (after(said, "/"), "BoringSSL".to_owned())
            }
        };
        Ok(Version { number, tls })
    }

    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        pair(&self.number) >= (major, minor)
    }

    /// Whether the TLS library knows the group X25519MLKEM768.
    pub fn knows_mlkem(&self) -> bool {
        match self.tls.split_once(' ') {
            Some(("OpenSSL", number)) => pair(number) >= (3, 5),
            // caddy has the group in its settings since 2.10, which needs Go 1.24.
            Some(("Go", _)) => self.is_at_least(2, 10),
            _ => true,
        }
    }
}

/// The version number that follows `marker`.
fn after(text: &str, marker: &str) -> String {
    let rest = text.split_once(marker).map_or("", |(_, rest)| rest);
    rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

fn pair(number: &str) -> (u32, u32) {
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
