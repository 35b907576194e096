//! `[upstream]`: the registry behind tidegate.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::ServerAddress;
use super::complaint::Complaint;
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::values::{WAIT, WAIT_OR_NONE, print_duration};
use super::words::{Words, word};
use crate::header::authority::HostPort;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The servers of the registry; at least one, none twice.
    pub servers: Vec<ServerAddress>,
    /// Which of the servers gets a request.
    pub balance: Balance,
    /// Whether all servers have the same content.
    pub shared_storage: bool,
    /// Most connections to one server. Not zero.
    pub connections: usize,
    /// The time between two look-ups of a host name. Not zero.
    pub resolve_every: Duration,
    /// What a check of a server asks for, below `path`; begins with a `/`.
    pub health_path: String,
    /// The time between two checks of a server; zero means that only a server that has failed is
    /// checked.
    pub health_every: Duration,
    /// The path below which the registry has its `/v2/`; empty, or `/` and segments without a `/`
    /// at the end.
    pub path: String,
    /// The `Host` that the registry receives, with or without a port; `None` for that of the
    /// client.
    pub host: Option<String>,
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
    /// The path of a token service of the registry beside `/v2/token` and `/v2/auth`, below `path`.
    pub token_path: Option<String>,
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

/// How requests are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// `least-connections`: to the address with the fewest requests.
    LeastConnections,
    /// `round-robin`: to one after the other.
    RoundRobin,
    /// `hash`: all requests for a repository to the same server.
    Hash,
}

const BALANCE: Words<Balance> = &[
    ("least-connections", Balance::LeastConnections),
    ("round-robin", Balance::RoundRobin),
    ("hash", Balance::Hash),
];

/// Connections to one server.
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;

const AUTHORIZATION: Words<UpstreamAuthorization> = &[
    ("user", UpstreamAuthorization::User),
    ("pass", UpstreamAuthorization::Pass),
    ("none", UpstreamAuthorization::None),
    ("basic", UpstreamAuthorization::Basic),
];

impl Upstream {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let servers_location = section.location("servers");
        let servers = several_servers(section, r#"["http://127.0.0.1:5000"]"#);
        let balance = section.word("balance", r#""least-connections""#, BALANCE);
        let shared_storage = section.flag("shared_storage", "false");
        let connections = section.number("connections", "2048", CONNECTIONS);
        let resolve_every = section.duration("resolve_every", r#""10s""#, WAIT);
        let wanted = r#"the path that a check asks for, such as "/v2/""#;
        let health_path = section.text("health_path", r#""/v2/""#, wanted, |text| {
            let path = text.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(text);
            if text == "/" { Ok(()) } else { plain_path(path) }.map(|()| text.to_owned())
        });
        let health_every = section.duration("health_every", r#""10s""#, WAIT_OR_NONE);
        let host = host(section);
        let wanted = r#"the path of the registry's token service, such as "/service/token", or """#;
        let token_path = section.text("token_path", r#""""#, wanted, |text| match text {
            "" => Ok(None),
            text => plain_path(text).map(|()| Some(text.to_owned())),
        });
        let ca_location = section.location("ca");
        let ca = ca(section);
        let connect_timeout = section.duration("connect_timeout", r#""5s""#, WAIT);
        let read_timeout = section.duration("read_timeout", r#""900s""#, WAIT);
        let authorization = section.word("authorization", r#""user""#, AUTHORIZATION);
        let (user, password_file) = login(section, authorization)?;
        let (servers, path) = servers?;
        if matches!(ca, Some(Some(_))) {
            warn_of_idle_ca(section, &ca_location, &servers);
        }
        warn_of_parted_uploads(section, &servers_location, &servers, balance, shared_storage);
        Some(Self {
            servers,
            balance: balance?,
            shared_storage: shared_storage?,
            connections: connections?,
            resolve_every: resolve_every?,
            health_path: health_path?,
            health_every: health_every?,
            path,
            host: host?,
            token_path: token_path?,
            ca: ca?,
            connect_timeout: connect_timeout?,
            read_timeout: read_timeout?,
            authorization: authorization?,
            user,
            password_file,
        })
    }

    /// Reads the registry of a `[[route]]`. What is left out is as in `usual`, which is
    /// `[upstream]`, except for what describes that registry alone: its servers, its name and its
    /// login.
    pub(super) fn of_route(section: &mut Section<'_, '_>, usual: Option<&Self>) -> Option<Self> {
        let has_servers = section.is_written("servers");
        let servers_location = section.location("servers");
        let servers = several_servers(section, None);
        if !has_servers {
            let header = section.header.clone();
            let message =
                format!("{}.servers is missing; write servers = [\"http://mirror:5000\"]", section.name);
            section.report.forgotten(&header, message);
        }
        let balance = or_usual(section, "balance", usual.map(|usual| usual.balance), |section| {
            section.word("balance", r#""least-connections""#, BALANCE)
        });
        let shared_storage = section.flag("shared_storage", "false");
        let connections = or_usual(section, "connections", usual.map(|usual| usual.connections), |section| {
            section.number("connections", "2048", CONNECTIONS)
        });
        let host = host(section);
        let ca_location = section.is_written("ca").then(|| section.location("ca"));
        let ca = or_usual(section, "ca", usual.map(|usual| usual.ca.clone()), ca);
        let authorization = usual.map(|usual| usual.authorization);
        if authorization == Some(UpstreamAuthorization::Basic) && !section.is_written("authorization") {
            let header = section.header.clone();
            let message = format!(
                "{}.authorization is missing: this registry does not get the user and the password of [upstream]; \
                 write authorization = \"none\", or \"basic\" with a user and a password_file",
                section.name
            );
            section.report.forgotten(&header, message);
        }
        let authorization = or_usual(section, "authorization", authorization, |section| {
            section.word("authorization", r#""user""#, AUTHORIZATION)
        });
        let (user, password_file) = login(section, authorization)?;
        let usual = usual?;
        let (servers, path) = servers?;
        if let (Some(location), Some(Some(_))) = (ca_location, &ca) {
            warn_of_idle_ca(section, &location, &servers);
        }
        warn_of_parted_uploads(section, &servers_location, &servers, balance, shared_storage);
        Some(Self {
            servers,
            balance: balance?,
            shared_storage: shared_storage?,
            connections: connections?,
            path,
            host: host?,
            token_path: None,
            ca: ca?,
            authorization: authorization?,
            user,
            password_file,
            ..usual.clone()
        })
    }

    /// Prints the keys that a `[[route]]` has too.
    pub(super) fn print_of_route(&self, to: &mut Printer<'_>) {
        let Self { servers, balance, shared_storage, connections, path, host, ca, .. } = self;
        let Self { authorization, user, password_file, .. } = self;
        to.reloaded("servers", list(servers.iter().map(|server| quoted(format_args!("{server}{path}")))));
        to.reloaded("balance", quoted(word(BALANCE, balance)));
        to.reloaded("shared_storage", shared_storage);
        to.reloaded("connections", connections);
        to.reloaded("host", quoted(host.as_deref().unwrap_or_default()));
        to.watched("ca", ca.as_deref());
        to.reloaded("authorization", quoted(word(AUTHORIZATION, authorization)));
        to.reloaded("user", quoted(user.as_deref().unwrap_or_default()));
        let password_file = password_file.as_deref();
        to.reloaded("password_file", to.optional_path(password_file));
        if *authorization == UpstreamAuthorization::Basic {
            to.watched.extend(password_file.map(Path::to_owned));
        }
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self {
            servers: _,
            balance: _,
            shared_storage: _,
            connections: _,
            resolve_every,
            health_path,
            health_every,
            path: _,
            host: _,
            token_path,
            ca: _,
            connect_timeout,
            read_timeout,
            authorization: _,
            user: _,
            password_file: _,
        } = self;
        to.section("upstream");
        self.print_of_route(to);
        to.reloaded("resolve_every", quoted(print_duration(*resolve_every)));
        to.reloaded("health_path", quoted(health_path));
        to.reloaded("health_every", quoted(print_duration(*health_every)));
        to.reloaded("token_path", quoted(token_path.as_deref().unwrap_or_default()));
        to.reloaded("connect_timeout", quoted(print_duration(*connect_timeout)));
        to.reloaded("read_timeout", quoted(print_duration(*read_timeout)));
    }
}

/// The value of `key`, or `usual` if it is not written.
fn or_usual<T>(
    section: &mut Section<'_, '_>,
    key: &str,
    usual: Option<T>,
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Option<T> {
    if section.is_written(key) {
        return read(section);
    }
    section.know(key);
    usual
}

fn host(section: &mut Section<'_, '_>) -> Option<Option<String>> {
    let wanted = r#"what the registry calls itself, such as "registry.example.com:5000", or "" for the host of each request"#;
    section.text("host", r#""""#, wanted, |text| match text {
        "" => Ok(None),
        text if text.contains("://") => Err("a host is not a URL".into()),
        text => match HostPort::parse(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(bad) => Err(Complaint::from(bad.to_string())),
        },
    })
}

fn ca(section: &mut Section<'_, '_>) -> Option<Option<PathBuf>> {
    let remedy = "name a PEM file with the root, or leave it empty for the roots of the system";
    section.optional_file("ca", r#"the path of a PEM file, or "" for the roots of the system"#, remedy)
}

fn warn_of_idle_ca(section: &mut Section<'_, '_>, location: &Location, servers: &[ServerAddress]) {
    let is_https = |server: &ServerAddress| matches!(server, ServerAddress::Tcp { tls: true, .. });
    if !servers.iter().any(is_https) {
        let name = section.name;
        let message = format!(
            "{name}.ca has no effect unless {name}.servers begins with https://; write that, or remove the key"
        );
        section.report.warn(location, message);
    }
}

/// The servers, and the path that all of them have.
fn several_servers(
    section: &mut Section<'_, '_>,
    default: impl Into<Option<&'static str>>,
) -> Option<(Vec<ServerAddress>, String)> {
    let wanted = r#"a server such as "http://registry:5000", "https://registry.example.com" or "unix:/run/registry.sock""#;
    let any_twice = |_: &(ServerAddress, String)| false;
    let servers = section.several("servers", default, wanted, server_and_path, any_twice)?;
    let path = servers.first().map(|(_, (_, path))| path.clone())?;
    if let Some((location, (server, other))) = servers.iter().find(|(_, (_, other))| *other != path) {
        let name = section.name;
        let message = format!(
            "{name}.servers: {server}{other} has another path than the first server; servers of one registry have the same"
        );
        section.report.wrong(location, message);
        return None;
    }
    Some((servers.into_iter().map(|(_, (server, _))| server).collect(), path))
}

/// Warns if an upload may continue at a server that knows nothing about it.
fn warn_of_parted_uploads(
    section: &mut Section<'_, '_>,
    location: &Location,
    servers: &[ServerAddress],
    balance: Option<Balance>,
    shared_storage: Option<bool>,
) {
    let is_parted = balance.is_some_and(|balance| balance != Balance::Hash) && shared_storage == Some(false);
    if servers.len() > 1 && is_parted {
        let name = section.name;
        let message = format!(
            "{name}.servers: an upload is several requests, and each may reach another server; set {name}.shared_storage = \
             true if all servers have the same storage and the same http.secret, else {name}.balance = \"hash\""
        );
        section.report.warn(location, message);
    }
}

/// The user and the password file of `authorization = "basic"`.
fn login(
    section: &mut Section<'_, '_>,
    authorization: Option<UpstreamAuthorization>,
) -> Option<(Option<String>, Option<PathBuf>)> {
    let name = section.name;
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
            let message = format!("{name}.{key} is missing, which {name}.authorization = \"basic\" needs");
            section.report.forgotten(location, message);
        }
    }
    let is_set = [user.is_some(), password_file.is_some()];
    for ((key, location), is_set) in ["user", "password_file"].iter().zip(&locations).zip(is_set) {
        if is_set && authorization.is_some_and(|authorization| authorization != UpstreamAuthorization::Basic)
        {
            let message = format!(
                "{name}.{key} has no effect unless {name}.authorization is \"basic\"; set that, or remove the key"
            );
            section.report.warn(location, message);
        }
    }
    Some((user, password_file))
}

/// Reads an address, and the path behind the host of a URL.
fn server_and_path(text: &str) -> Result<(ServerAddress, String), Complaint> {
    let host = text.find("://").map(|at| at + "://".len()).filter(|_| !text.starts_with("unix:"));
    let Some(at) = host.and_then(|host| text[host..].find('/').map(|slash| host + slash)) else {
        return Ok((text.parse()?, String::new()));
    };
    let (address, path) = text.split_at(at);
    let address = address.parse()?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok((address, String::new()));
    }
    plain_path(path)?;
    if path.split('/').any(|segment| segment == "v2") {
        return Err("the path is what stands before /v2/".into());
    }
    Ok((address, path.to_owned()))
}

/// A path that everyone reads alike: segments of letters, digits and `-._~`.
fn plain_path(text: &str) -> Result<(), Complaint> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(fits);
    match text.strip_prefix('/') {
        Some(path) if path.split('/').all(is_segment) => Ok(()),
        _ => Err("the path has to be / and names of letters, digits and -._~, without a query".into()),
    }
}
