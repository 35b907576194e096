//! `[upstream]`: the registry behind tidegate.

use std::path::PathBuf;
use std::time::Duration;

use super::address::ServerAddress;
use super::complaint::Complaint;
use super::list::Separator;
use super::print::{Printer, list, quoted};
use super::section::Section;
use super::values::{WAIT, print_duration};
use super::words::{Words, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The address of the registry.
    pub server: ServerAddress,
    /// PEM roots for an https server; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// The time to establish a connection, including TLS. Not zero.
    pub connect_timeout: Duration,
    /// The time until the response head, and between pieces of the body. Not zero.
    pub read_timeout: Duration,
    /// The `Authorization` header that the registry receives.
    pub authorization: UpstreamAuthorization,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuthorization {
    /// `user`: Basic with the verified name and without a password.
    User,
    /// `pass`: the header of the client.
    Pass,
    /// `none`: the header is removed.
    None,
}

const AUTHORIZATION: Words<UpstreamAuthorization> = &[
    ("user", UpstreamAuthorization::User),
    ("pass", UpstreamAuthorization::Pass),
    ("none", UpstreamAuthorization::None),
];

impl Upstream {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let server = single_server(section);
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let remedy = "name a PEM file with the root, or leave it empty for the roots of the system";
        let ca = section.optional_file("ca", wanted, remedy);
        let connect_timeout = section.duration("connect_timeout", r#""5s""#, WAIT);
        let read_timeout = section.duration("read_timeout", r#""900s""#, WAIT);
        let authorization = section.word("authorization", r#""user""#, AUTHORIZATION);
        for key in ["balance", "resolve_every", "health_path", "health_every"] {
            section.later(key);
        }
        Some(Self {
            server: server?,
            ca: ca?,
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            authorization: authorization?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { server, ca, connect_timeout, read_timeout, authorization } = self;
        to.section("upstream");
        to.reloaded("servers", list([quoted(server)].into_iter()));
        to.watched("ca", ca.as_deref());
        to.reloaded("connect_timeout", quoted(print_duration(*connect_timeout)));
        to.reloaded("read_timeout", quoted(print_duration(*read_timeout)));
        to.reloaded("authorization", quoted(word(AUTHORIZATION, authorization)));
    }
}

fn single_server(section: &mut Section<'_, '_>) -> Option<ServerAddress> {
    let wanted = r#"a server such as "http://registry:5000", "https://registry.example.com" or "unix:/run/registry.sock""#;
    let location = section.location("servers");
    let default = r#"["http://127.0.0.1:5000"]"#;
    let servers = section.list("servers", default, Separator::Comma, wanted, str::parse)?;
    if let Some((second, _)) = servers.get(1) {
        let message = "upstream.servers: several servers are not available yet; keep one of them";
        section.report.wrong(second, message);
        return None;
    }
    let server = servers.into_iter().next().map(|(_, server)| server);
    if server.is_none() {
        section.complain("servers", &location, "an empty list", &Complaint::Shape, wanted);
    }
    server
}
