//! `[auth]` and `[auth.throttle]`: how clients prove who they are.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::client::Verify;
use super::complaint::Complaint;
use super::issuer::Issuer;
use super::ldap::Ldap;
use super::print::{Printer, quoted};
use super::report::Location;
use super::section::Section;
use super::service::Service;
use super::values::{LONGEST_WAIT, MOST_THREADS, WAIT_OR_NONE, or_share_of_cores, print_duration};
use super::words::{Words, word};
use crate::disk::shell_word;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub mode: AuthMode,
    /// The realm of the challenge: printable ASCII without quotes and backslashes.
    pub realm: String,
    /// Users and password hashes. Checked to exist unless `mode` is off.
    pub htpasswd: PathBuf,
    /// Also accept the older hashes of Apache and crypt(3).
    pub legacy_hashes: bool,
    /// Whether a client's certificate replaces the password.
    pub client_certificate: ClientCertificate,
    /// How long a verified password is remembered. Zero means that it is hashed at every request.
    pub cache_ttl: Duration,
    /// How many verified passwords are remembered. At least one.
    pub cache_size: usize,
    /// Threads that compute hashes, at least one. The file's 0 is replaced by half the cores.
    pub hash_threads: usize,
    /// Hashes that may wait for a thread; beyond it, clients get 429 with Retry-After. At least
    /// one.
    pub hash_queue: usize,
    /// `[auth.throttle]`.
    pub throttle: Throttle,
    /// `[auth.ldap]`.
    pub ldap: Option<Ldap>,
    /// `[auth.http]`; never beside `[auth.ldap]`.
    pub http: Option<Service>,
    /// `[[auth.issuer]]`, each name and each URL once.
    pub issuers: Vec<Issuer>,
}

/// The sections within `[auth]`; `None` for one with a mistake.
pub(super) struct Nested {
    pub(super) throttle: Option<Throttle>,
    pub(super) ldap: Option<Option<Ldap>>,
    pub(super) http: Option<Option<Service>>,
    pub(super) issuers: Option<Vec<Issuer>>,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// User and password, RFC 7617.
    Basic,
    /// Tokens that tidegate issues to users with a password and to anonymous clients.
    Token,
    /// No authentication: everyone may do everything.
    Off,
}

/// Whether a client's certificate replaces the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// One of the two is enough.
    Either,
    /// Both are needed.
    Both,
}

/// `[auth.throttle]`: how many wrong passwords are checked for one client network and user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The most wrong passwords within the window; 0 means no limit.
    pub failures: usize,
    /// The time within which failures are counted. At least a second.
    pub window: Duration,
    /// How long no password is checked after that. At least a second.
    pub delay: Duration,
}

/// Clients receive these times in whole seconds.
const SECONDS: RangeInclusive<Duration> = Duration::from_secs(1)..=LONGEST_WAIT;
const MOST_FAILURES: usize = 1000;

const MODES: Words<AuthMode> =
    &[("basic", AuthMode::Basic), ("token", AuthMode::Token), ("off", AuthMode::Off)];
const CLIENT_CERTIFICATE: Words<ClientCertificate> =
    &[("either", ClientCertificate::Either), ("both", ClientCertificate::Both)];

impl Auth {
    /// `verify` is `tls.client.verify`.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        verify: Option<Verify>,
        Nested { throttle, ldap, http, issuers }: Nested,
    ) -> Option<Self> {
        let mode = section.word("mode", r#""basic""#, MODES);
        let wanted = "printable ASCII without quotes and backslashes";
        let realm = section.text("realm", r#""registry.localhost""#, wanted, realm);
        let htpasswd = htpasswd(section, mode);
        let legacy_hashes = section.flag("legacy_hashes", "false");
        let location = section.location("client_certificate");
        let client_certificate = section.word("client_certificate", r#""either""#, CLIENT_CERTIFICATE);
        if client_certificate == Some(ClientCertificate::Both) {
            check_both(section, &location, verify, mode);
        }
        let cache_ttl = section.duration("cache_ttl", r#""5m""#, WAIT_OR_NONE);
        let cache_size = section.number("cache_size", "4096", 1..=1_000_000);
        let hash_threads = section.number("hash_threads", "0", 0..=MOST_THREADS);
        let hash_queue = section.number("hash_queue", "64", 1..=65_536);
        Some(Self {
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
            ldap: ldap?,
            http: http?,
            issuers: issuers?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self {
            mode,
            realm,
            htpasswd,
            legacy_hashes,
            client_certificate,
            cache_ttl,
            cache_size,
            hash_threads,
            hash_queue,
            throttle,
            ldap,
            http,
            issuers,
        } = self;
        to.section("auth");
        to.reloaded("mode", quoted(word(MODES, mode)));
        to.reloaded("realm", quoted(realm));
        to.reloaded("htpasswd", to.path(htpasswd));
        // An edit takes effect without a reload, which only repeats the warnings about the file.
        if *mode != AuthMode::Off {
            to.watched.push(htpasswd.clone());
        }
        to.reloaded("legacy_hashes", legacy_hashes);
        to.reloaded("client_certificate", quoted(word(CLIENT_CERTIFICATE, client_certificate)));
        to.fixed("cache_ttl", quoted(print_duration(*cache_ttl)));
        to.fixed("cache_size", cache_size);
        to.fixed("hash_threads", hash_threads);
        to.fixed("hash_queue", hash_queue);
        throttle.print(to);
        ldap.iter().for_each(|ldap| ldap.print(to));
        issuers.iter().for_each(|issuer| issuer.print(to));
        http.iter().for_each(|http| http.print(to));
    }
}

impl Throttle {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let failures = section.number("failures", "10", 0..=MOST_FAILURES);
        let window = section.duration("window", r#""1m""#, SECONDS);
        let delay = section.duration("delay", r#""1m""#, SECONDS);
        Some(Self { failures: failures?, window: window?, delay: delay? })
    }

    fn print(&self, to: &mut Printer<'_>) {
        let Self { failures, window, delay } = self;
        to.section("auth.throttle");
        to.reloaded("failures", failures);
        to.reloaded("window", quoted(print_duration(*window)));
        to.reloaded("delay", quoted(print_duration(*delay)));
    }
}

fn realm(text: &str) -> Result<String, Complaint> {
    let is_printable = text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\');
    if is_printable && !text.is_empty() { Ok(text.to_owned()) } else { Err(Complaint::Shape) }
}

fn htpasswd(section: &mut Section<'_, '_>, mode: Option<AuthMode>) -> Option<PathBuf> {
    let location = section.location("htpasswd");
    // The text lost to a syntax error may have named another path, or another mode.
    let is_certain = section.is_written("htpasswd") || !section.report.is_truncated();
    let wanted = r#"the path of a file, such as "auth/htpasswd""#;
    let file = section.path("htpasswd", r#""auth/htpasswd""#, wanted)?;
    if matches!(mode, Some(AuthMode::Basic | AuthMode::Token)) && is_certain {
        let remedy = format!("make it with `tidegate htpasswd add {} USER`", shell_word(&file));
        section.needs_file("htpasswd", &file, &location, &remedy);
    }
    Some(file)
}

/// Reports the settings that `client_certificate = "both"` lacks.
fn check_both(
    section: &mut Section<'_, '_>,
    location: &Location,
    verify: Option<Verify>,
    mode: Option<AuthMode>,
) {
    let other = match (verify, mode) {
        (Some(Verify::Off), _) => "client certificates; set tls.client.verify to \"required\"",
        (_, Some(AuthMode::Off)) => "passwords; set auth.mode to \"basic\" or \"token\"",
        _ => return,
    };
    section.report.wrong(location, format!("auth.client_certificate: \"both\" needs {other}"));
}
