//! `[upstream]`: the registry behind tidegate.

use std::path::{Path, PathBuf};
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
    /// The user of `basic`; no colon, no control characters.
    pub user: Option<String>,
    /// The file with the password of `basic`.
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuthorization {
    /// `user`: Basic with the verified name and without a password.
    User,
    /// `pass`: the header of the client.
    Pass,
    /// `none`: the header is removed.
    None,
    /// `basic`: one user and password for all requests.
    Basic,
}

const AUTHORIZATION: Words<UpstreamAuthorization> = &[
    ("user", UpstreamAuthorization::User),
    ("pass", UpstreamAuthorization::Pass),
    ("none", UpstreamAuthorization::None),
    ("basic", UpstreamAuthorization::Basic),
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
        let (user, password_file) = login(section, authorization)?;
        for key in ["balance", "resolve_every", "health_path", "health_every"] {
            section.later(key);
        }
        Some(Self {
            server: server?,
            ca: ca?,
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            authorization: authorization?,
            user,
            password_file,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { server, ca, connect_timeout, read_timeout, authorization, user, password_file } = self;
        to.section("upstream");
        to.reloaded("servers", list([quoted(server)].into_iter()));
        to.watched("ca", ca.as_deref());
        to.reloaded("connect_timeout", quoted(print_duration(*connect_timeout)));
        to.reloaded("read_timeout", quoted(print_duration(*read_timeout)));
        to.reloaded("authorization", quoted(word(AUTHORIZATION, authorization)));
        to.reloaded("user", quoted(user.as_deref().unwrap_or_default()));
        let password_file = password_file.as_deref();
        to.reloaded("password_file", to.optional_path(password_file));
        if *authorization == UpstreamAuthorization::Basic {
            to.watched.extend(password_file.map(Path::to_owned));
        }
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

/// The user and the password file of `authorization = "basic"`.
fn login(
    section: &mut Section<'_, '_>,
    authorization: Option<UpstreamAuthorization>,
) -> Option<(Option<String>, Option<PathBuf>)> {
    let locations = ["user", "password_file"].map(|key| section.location(key));
    let user = section.text("user", r#""""#, "a user name without a colon", |text| match text {
        "" => Ok(None),
        text if text.contains(':') || text.contains(char::is_control) => Err(Complaint::Shape),
        text => Ok(Some(text.to_owned())),
    });
    let wanted = "the path of a file with the password";
    let remedy = "write the password of the registry into it, and make it readable for its owner alone";
    let password_file = section.optional_file("password_file", wanted, remedy);
    let (user, password_file) = (user?, password_file?);
    let missing = [user.is_none(), password_file.is_none()];
    for ((key, location), is_missing) in ["user", "password_file"].iter().zip(&locations).zip(missing) {
        if is_missing && authorization == Some(UpstreamAuthorization::Basic) {
            let message =
                format!("upstream.{key} is missing, which upstream.authorization = \"basic\" needs");
            section.report.forgotten(location, message);
        }
    }
    Some((user, password_file))
}
