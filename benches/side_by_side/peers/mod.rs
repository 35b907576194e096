//! The proxies, all configured to do the same.

mod caddy;
mod haproxy;
mod nginx;
mod tidegate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use crate::failure::Outcome;
use crate::process::End;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    Tidegate,
    /// nginx with the recipe of the registry's documentation
    Nginx,
    /// nginx with the recipe, but unbuffered and with kept-alive upstream connections
    NginxTuned,
    Haproxy,
    Caddy,
}

/// What a proxy is configured for.
pub struct Site {
    /// The folder for its settings, logs and temporary files.
    pub folder: PathBuf,
    /// The port on the loopback address.
    pub port: u16,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub upstream: SocketAddr,
    /// The users who may sign in. Without it, anonymous access is allowed.
    pub htpasswd: Option<PathBuf>,
}

impl Peer {
    pub const ALL: [Peer; 5] = [Peer::Tidegate, Peer::Nginx, Peer::NginxTuned, Peer::Haproxy, Peer::Caddy];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Tidegate => "tidegate",
            Peer::Nginx => "nginx",
            Peer::NginxTuned => "nginx tuned",
            Peer::Haproxy => "haproxy",
            Peer::Caddy => "caddy",
        }
    }

    /// The command that must be installed, unless it is tidegate.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Peer::Tidegate => None,
            Peer::Nginx | Peer::NginxTuned => Some("nginx"),
            Peer::Haproxy => Some("haproxy"),
            Peer::Caddy => Some("caddy"),
        }
    }

    /// Writes the settings and returns the command that runs the proxy in the foreground.
    pub fn prepare(self, site: &Site) -> Outcome<(Command, End)> {
        Ok(match self {
            Peer::Tidegate => (tidegate::prepare(site)?, End::Kill),
            Peer::Nginx => (nginx::prepare(site, &nginx::RECIPE)?, End::Terminate),
            Peer::NginxTuned => (nginx::prepare(site, &nginx::TUNED)?, End::Terminate),
            Peer::Haproxy => (haproxy::prepare(site)?, End::Kill),
            Peer::Caddy => (caddy::prepare(site)?, End::Kill),
        })
    }
}
