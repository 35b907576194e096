//! The proxies, all configured to do the same.

mod caddy;
mod envoy;
mod floor;
mod haproxy;
mod installed;
mod nginx;
mod tidegate;
mod version;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use crate::failure::Outcome;
use crate::process::End;
pub use installed::{Installed, find};
use version::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    Tidegate,
    /// another build of tidegate, given with --baseline
    #[value(skip)]
    TidegateBefore,
    /// nginx with the recipe of the registry's documentation
    Nginx,
    /// nginx with the recipe, but unbuffered and with kept-alive upstream connections
    NginxTuned,
    Haproxy,
    Caddy,
    /// envoy, without a check of passwords
    Envoy,
    /// what is possible, with --floor
    #[value(skip)]
    Floor,
}

/// What a proxy is configured for.
pub struct Site {
    pub program: PathBuf,
    pub version: Version,
    /// The folder for its settings, logs and temporary files.
    pub folder: PathBuf,
    /// The port on the loopback address.
    pub port: u16,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub upstream: SocketAddr,
    /// The users who may sign in. Without it, anonymous access is allowed.
    pub htpasswd: Option<PathBuf>,
    /// Whether the proxy prefers the post-quantum group, if it knows it.
    pub post_quantum: bool,
}

impl Peer {
    pub const ALL: [Peer; 8] = [
        Peer::Tidegate,
        Peer::TidegateBefore,
        Peer::Nginx,
        Peer::NginxTuned,
        Peer::Haproxy,
        Peer::Caddy,
        Peer::Envoy,
        Peer::Floor,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Tidegate => "tidegate",
            Peer::TidegateBefore => "tidegate before",
            Peer::Nginx => "nginx",
            Peer::NginxTuned => "nginx tuned",
            Peer::Haproxy => "haproxy",
            Peer::Caddy => "caddy",
            Peer::Envoy => "envoy",
            Peer::Floor => "floor",
        }
    }

    pub fn is_tidegate(self) -> bool {
        matches!(self, Peer::Tidegate | Peer::TidegateBefore)
    }

    /// Whether it takes part only if an option asks for it.
    pub fn is_asked_for(self) -> bool {
        matches!(self, Peer::TidegateBefore | Peer::Floor)
    }

    /// Whether tidegate must be better: the floor is not a proxy that anyone can use.
    pub fn is_rival(self) -> bool {
        !self.is_tidegate() && self != Peer::Floor
    }

    /// The command to look for, unless it is a program of this build or given.
    pub fn command(self) -> Option<&'static str> {
        match self {
            Peer::Tidegate | Peer::TidegateBefore | Peer::Floor => None,
            Peer::Nginx | Peer::NginxTuned => Some("nginx"),
            Peer::Haproxy => Some("haproxy"),
            Peer::Caddy => Some("caddy"),
            Peer::Envoy => Some("envoy"),
        }
    }

    /// The Debian package of its command, if there is one.
    pub fn package(self) -> Option<&'static str> {
        self.command().filter(|_| self != Peer::Envoy)
    }

    /// Whether it checks passwords. envoy knows only SHA-1, and the floor knows nothing.
    pub fn checks_passwords(self) -> bool {
        !matches!(self, Peer::Envoy | Peer::Floor)
    }

    /// Writes the settings and returns the command that runs the proxy in the foreground.
    pub fn prepare(self, site: &Site) -> Outcome<(Command, End)> {
        Ok(match self {
            Peer::Tidegate | Peer::TidegateBefore => (tidegate::prepare(site)?, tidegate_end()),
            Peer::Nginx => (nginx::prepare(site, &nginx::RECIPE)?, End::Terminate),
            Peer::NginxTuned => (nginx::prepare(site, &nginx::TUNED)?, End::Terminate),
            Peer::Haproxy => (haproxy::prepare(site)?, End::Kill),
            Peer::Caddy => (caddy::prepare(site)?, End::Kill),
            Peer::Envoy => (envoy::prepare(site)?, End::Kill),
            Peer::Floor => (floor::prepare(site), End::Kill),
        })
    }
}

/// A build that counts its functions writes the counts when it ends by itself.
fn tidegate_end() -> End {
    if std::env::var_os("LLVM_PROFILE_FILE").is_some() { End::Terminate } else { End::Kill }
}

impl Site {
    /// The groups to configure, as the proxy writes them.
    pub fn groups<'a>(&self, with_mlkem: &'a str, without: &'a str) -> &'a str {
        if self.post_quantum && self.version.knows_mlkem() { with_mlkem } else { without }
    }
}
