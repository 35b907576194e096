//! From what is written to what is meant: the only place that knows which section holds which keys.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use http::StatusCode;
use toml::de::DeTable;

use super::Config;
use super::access::{self, groups};
use super::acme::acme;
use super::address::ServerAddress;
use super::document::Document;
use super::expression::{level, regex};
use super::keys::{ACCESS, GROUPS};
use super::names::{network, served_name, socket_address};
use super::policy::policy;
use super::report::{NamedFile, Place, Report};
use super::section::{Section, Separator};
use super::settings::{
    AccessTarget, Auth, AuthMode, ClientCertificate, Limits, Log, Server, Throttle, Upstream, UserAgents,
    Verify,
};
use super::syntax::sound_part;
use super::tls::{client, tls};
use super::token::token;
use super::words;

const LEAST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A wait that has to end, and may not end at once.
const WAIT: RangeInclusive<Duration> = LEAST_WAIT..=LONGEST_WAIT;
/// Zero means at once, or not at all.
const WAIT_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST_WAIT;
/// What is told to clients in whole seconds.
const SECONDS: RangeInclusive<Duration> = Duration::from_secs(1)..=LONGEST_WAIT;

const MOST_CONNECTIONS: usize = 1_000_000;
const MOST_THREADS: usize = 1024;
/// The least that hyper takes as the size of its buffer for a head.
const LEAST_HEADER_BYTES: u64 = 8 << 10;
const MOST_HEADER_BYTES: u64 = 1 << 20;
const MOST_HEADERS: usize = 10_000;
const MOST_BYTES: u64 = 1 << 30;
const MOST_FAILURES: usize = 1000;

pub(super) const HOST_NAME: &str = r#"a host name without port, such as "registry.example.com""#;

/// Reads all of it. The settings are `None` only if the report holds a problem.
pub(super) fn read(path: &Path, text: &str, environment: &[(String, String)]) -> (Option<Config>, Report) {
    let mut report = Report::new(path, text);
    let sound = sound_part(text, &mut report);
    let (table, _) = DeTable::parse_recoverable(&sound);
    let base = path.parent().unwrap_or(Path::new(""));
    let mut document = Document::new(table.into_inner(), environment, &mut report);

    let server = document.section("server", server);
    let limits = document.section("limits", limits);
    let client = document.section("tls.client", |section| client(section, base));
    let verify = client.as_ref().map(|client| client.verify);
    let has_plain = server.as_ref().is_none_or(|server: &Server| !server.plain.is_empty());
    let (mut by_acme, mut acme_place) = (false, None);
    let acme = document.section("acme", |section| {
        by_acme = section.is_written("names");
        acme_place = section.is_there().then(|| section.header.clone());
        acme(section, base, has_plain)
    });
    by_acme &= acme != Some(None);
    let tls = document.section("tls", |section| tls(section, base, by_acme, acme_place, client));
    let upstream = document.section("upstream", |section| upstream(section, base));
    let throttle = document.section("auth.throttle", throttle);
    let auth = document.section("auth", |section| auth(section, base, verify, throttle));
    let user_agents = document.section("user_agents", user_agents);
    let groups = document.section(GROUPS, groups);
    let rule = |section: &mut Section<'_, '_>| access::rule(section, groups.as_ref());
    let access = document.entries(ACCESS, access::EXAMPLE, rule);
    let policy = document.section("policy", policy);
    let names = server.as_ref().map_or(&[][..], |server| &server.names);
    let mode = auth.as_ref().map(|auth| auth.mode);
    let authorization = upstream.as_ref().map(|upstream| upstream.authorization);
    let token = document.section("token", |section| token(section, base, names, mode, authorization));
    let log = document.section("log", |section| log(section, base));
    document.finish();
    if let Some(groups) = &groups {
        groups.warn_of_unused(&mut report);
    }

    let config = || {
        Some(Config {
            path: path.to_owned(),
            server: server?,
            limits: limits?,
            tls: tls?,
            acme: acme?,
            upstream: upstream?,
            auth: auth?,
            user_agents: user_agents?,
            access: access?,
            policy: policy?,
            token: token?,
            log: log?,
            warnings: Vec::new(),
        })
    };
    (config(), report)
}

fn server(section: &mut Section<'_, '_>) -> Option<Server> {
    let wanted = r#"an IP address and a port, such as "0.0.0.0:443" or "[::]:443""#;
    let any_port = |address: &SocketAddr| address.port() == 0;
    let listen = values(several(section, "listen", wanted, socket_address, any_port));
    let plain = values(distinct(section, "plain", wanted, socket_address, any_port));
    let names = values(section.list("names", Separator::Comma, HOST_NAME, served_name));
    let wanted = r#"a network or an address, such as "10.0.0.0/8" or "192.0.2.7""#;
    let trusted_proxies = values(section.list("trusted_proxies", Separator::Comma, wanted, network));
    let drain_timeout = section.duration("drain_timeout", WAIT_OR_NONE);
    let threads = section.number("threads", 0..=MOST_THREADS);
    Some(Server {
        listen: listen?,
        plain: plain?,
        names: names?,
        trusted_proxies: trusted_proxies?,
        drain_timeout: drain_timeout?,
        threads: or_share_of_cores(threads?, 1),
    })
}

fn limits(section: &mut Section<'_, '_>) -> Option<Limits> {
    let connections = section.number("connections", 1..=MOST_CONNECTIONS);
    let connections_per_ip = section.number("connections_per_ip", 0..=MOST_CONNECTIONS);
    let handshake_timeout = section.duration("handshake_timeout", WAIT);
    let header_timeout = section.duration("header_timeout", WAIT);
    let idle_timeout = section.duration("idle_timeout", WAIT);
    let min_rate = section.rate("min_rate", MOST_BYTES);
    let header_bytes = section.size("header_bytes", LEAST_HEADER_BYTES..=MOST_HEADER_BYTES);
    let headers = section.number("headers", 1..=MOST_HEADERS);
    let manifest_bytes = section.size("manifest_bytes", 1..=MOST_BYTES);
    Some(Limits {
        connections: connections?,
        connections_per_ip: connections_per_ip?,
        handshake_timeout: handshake_timeout?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        min_rate: min_rate?,
        header_bytes: usize::try_from(header_bytes?).ok()?,
        headers: headers?,
        manifest_bytes: manifest_bytes?,
    })
}

fn upstream(section: &mut Section<'_, '_>, base: &Path) -> Option<Upstream> {
    let server = single_server(section);
    let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
    let remedy = "name a PEM file with the root, or leave it empty for the roots of the system";
    let ca = optional_file(section, "ca", "upstream.ca", wanted, remedy, base);
    let connect_timeout = section.duration("connect_timeout", WAIT);
    let read_timeout = section.duration("read_timeout", WAIT);
    let authorization = section.word("authorization", words::UPSTREAM_AUTHORIZATION);
    Some(Upstream {
        server: server?,
        ca: ca?,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
        authorization: authorization?,
    })
}

fn single_server(section: &mut Section<'_, '_>) -> Option<ServerAddress> {
    let wanted = r#"a server such as "http://registry:5000", "https://registry.example.com" or "unix:/run/registry.sock""#;
    let place = section.place("servers");
    let servers = section.list("servers", Separator::Comma, wanted, str::parse)?;
    if let Some((second, _)) = servers.get(1) {
        let message = "upstream.servers: several servers are not available yet; keep one of them";
        section.report.wrong(second, message);
        return None;
    }
    let server = servers.into_iter().next().map(|(_, server)| server);
    if server.is_none() {
        section.report.wrong(&place, format!("upstream.servers: found an empty list; write {wanted}"));
    }
    server
}

fn throttle(section: &mut Section<'_, '_>) -> Option<Throttle> {
    let failures = section.number("failures", 0..=MOST_FAILURES);
    let window = section.duration("window", SECONDS);
    let delay = section.duration("delay", SECONDS);
    Some(Throttle { failures: failures?, window: window?, delay: delay? })
}

fn auth(
    section: &mut Section<'_, '_>,
    base: &Path,
    verify: Option<Verify>,
    throttle: Option<Throttle>,
) -> Option<Auth> {
    let mode = section.word("mode", words::AUTH_MODES);
    let realm = section.text("realm", "printable ASCII without quotes and backslashes", |text| {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\');
        if printable && !text.is_empty() { Ok(text.to_owned()) } else { Err(String::new()) }
    });
    let htpasswd_place = section.place("htpasswd");
    // Behind a syntax error another path, or another mode, may be written.
    let htpasswd_certain = section.is_written("htpasswd") || !section.report.is_torn();
    let htpasswd =
        section.text("htpasswd", r#"the path of a file, such as "auth/htpasswd""#, |text| path(text, base));
    if let (Some(AuthMode::Basic | AuthMode::Token), Some(path), true) = (mode, &htpasswd, htpasswd_certain) {
        let remedy = format!("make it with `tidegate htpasswd add {} USER`", path.display());
        let file = NamedFile { key: "auth.htpasswd", path: path.clone(), place: htpasswd_place, remedy };
        section.report.files.push(file);
    }
    let legacy_hashes = section.flag("legacy_hashes");
    let place = section.place("client_certificate");
    let client_certificate = section.word("client_certificate", words::CLIENT_CERTIFICATE);
    if client_certificate == Some(ClientCertificate::Both) {
        let other = match (verify, mode) {
            (Some(Verify::Off), _) => Some("client certificates; set tls.client.verify to \"required\""),
            (_, Some(AuthMode::Off)) => Some("passwords; set auth.mode to \"basic\" or \"token\""),
            _ => None,
        };
        if let Some(other) = other {
            section.report.wrong(&place, format!("auth.client_certificate: \"both\" needs {other}"));
        }
    }
    let cache_ttl = section.duration("cache_ttl", WAIT_OR_NONE);
    let cache_size = section.number("cache_size", 1..=1_000_000);
    let hash_threads = section.number("hash_threads", 0..=MOST_THREADS);
    let hash_queue = section.number("hash_queue", 1..=65_536);
    Some(Auth {
        mode: mode?,
        realm: realm?,
        htpasswd: htpasswd?,
        legacy_hashes: legacy_hashes?,
        client_certificate: client_certificate?,
        cache_ttl: cache_ttl?,
        cache_size: cache_size?,
        hash_threads: or_share_of_cores(hash_threads?, 2),
        hash_queue: hash_queue?,
        throttle: throttle?,
    })
}

fn user_agents(section: &mut Section<'_, '_>) -> Option<UserAgents> {
    let wanted = r"a regular expression in single quotes, such as '^docker/1\.[345]'";
    let deny = values(section.list("deny", Separator::Newline, wanted, regex));
    let allow = values(section.list("allow", Separator::Newline, wanted, regex));
    let answer = section.number("status", 400..=499);
    Some(UserAgents { deny: deny?, allow: allow?, status: status(answer?)? })
}

pub(super) fn status(number: usize) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(number).ok()?).ok()
}

fn log(section: &mut Section<'_, '_>, base: &Path) -> Option<Log> {
    let wanted =
        r#""error", "warn", "info", "debug" or "trace", maybe by module: "info,tidegate::tls=debug""#;
    let level = section.text("level", wanted, level);
    let format = section.word("format", words::LOG_FORMATS);
    let access = section.text("access", r#""stdout", "off" or the path of a file"#, |text| match text {
        "off" => Ok(AccessTarget::Off),
        "stdout" => Ok(AccessTarget::Stdout),
        "stderr" => Err("the log of the program goes there".to_owned()),
        text => path(text, base).map(AccessTarget::File),
    });
    let access_format = section.word("access_format", words::ACCESS_FORMATS);
    Some(Log { level: level?, format: format?, access: access?, access_format: access_format? })
}

pub(super) fn path(text: &str, base: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("a path holds no NUL".to_owned());
    }
    Ok(base.join(text.trim_start_matches("./")))
}

/// A file that has to be there when it is named at all; `""` names none.
pub(super) fn optional_file(
    section: &mut Section<'_, '_>,
    key: &str,
    full_key: &'static str,
    wanted: &str,
    remedy: &str,
    base: &Path,
) -> Option<Option<PathBuf>> {
    let place = section.place(key);
    let file = section.text(key, wanted, |text| match text {
        "" => Ok(None),
        text => path(text, base).map(Some),
    })?;
    if let Some(path) = file.clone() {
        section.report.files.push(NamedFile { key: full_key, path, place, remedy: remedy.to_owned() });
    }
    Some(file)
}

/// A list with at least one value and none twice, but for those that may repeat; with the place of each.
pub(super) fn several<T: PartialEq>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    may_repeat: impl Fn(&T) -> bool,
) -> Option<Vec<(Place, T)>> {
    let place = section.place(key);
    let list = distinct(section, key, wanted, parse, may_repeat)?;
    if list.is_empty() {
        section.report.wrong(&place, format!("{}.{key}: found an empty list; write {wanted}", section.name));
        return None;
    }
    Some(list)
}

/// A list with no value twice, but for those that may repeat; with the place of each.
pub(super) fn distinct<T: PartialEq>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    may_repeat: impl Fn(&T) -> bool,
) -> Option<Vec<(Place, T)>> {
    let list = section.list(key, Separator::Comma, wanted, parse)?;
    let again = list.iter().enumerate().find(|(index, (_, value))| {
        !may_repeat(value) && list.iter().take(*index).any(|(_, earlier)| earlier == value)
    });
    if let Some((_, (place, _))) = again {
        section
            .report
            .wrong(place, format!("{}.{key}: this stands here a second time; remove it", section.name));
        return None;
    }
    Some(list)
}

pub(super) fn values<T>(list: Option<Vec<(Place, T)>>) -> Option<Vec<T>> {
    list.map(|list| list.into_iter().map(|(_, value)| value).collect())
}

/// The number, or for 0 the cores divided by `divisor`, at least one.
fn or_share_of_cores(number: usize, divisor: usize) -> usize {
    if number > 0 { number } else { (available_parallelism().map_or(1, usize::from) / divisor).max(1) }
}
