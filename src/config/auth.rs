//! `[auth]` and `[auth.throttle]`: how clients prove who they are.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::access::AccessRule;
use super::client::Verify;
use super::complaint::Complaint;
use super::issuer::Issuer;
use super::ldap::Ldap;
use super::print::{Printer, quoted};
use super::report::{Location, Report};
use super::section::Section;
use super::service::Service;
use super::subject::Sources;
use super::values::{LONGEST_WAIT, MOST_THREADS, WAIT_OR_NONE, or_share_of_cores, print_duration};
use super::words::{Words, word};
use crate::disk::shell_word;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub mode: AuthMode,
    /// The realm of the challenge: printable ASCII without quotes and backslashes.
    pub realm: String,
    /// Users and password hashes; `None` only if there is another source of users. Checked to exist
    /// unless `mode` is off.
    pub htpasswd: Option<PathBuf>,
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
        let mode_location = section.location("mode");
        let mode = section.word("mode", r#""basic""#, MODES);
        let wanted = "printable ASCII without quotes and backslashes";
        let realm = section.text("realm", r#""registry.localhost""#, wanted, realm);
        let others = Others::of(&ldap, &http, &issuers);
        let htpasswd = htpasswd(section, mode, &others);
        if mode == Some(AuthMode::Off) && others != Others::None {
            let message = "auth.mode: \"off\" asks nobody who they are, so [auth.ldap], [auth.http] and [[auth.issuer]] have no \
                           effect; write \"basic\" or \"token\", or remove them";
            section.report.wrong(&mode_location, message);
        }
        if let (Some(Some(_)), Some(Some(_))) = (&ldap, &http) {
            let message = "auth: [auth.ldap] and [auth.http] cannot both judge a password, as each would see those of the \
                           other's users; remove one of them";
            section.report.wrong(&section.header.clone(), message);
        }
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

    /// Reports issuers that nobody limits: without rules, every user may do everything.
    pub(super) fn expect_rules(&self, rules: &[AccessRule], report: &mut Report) {
        let Some(issuer) = self.issuers.first().filter(|_| rules.is_empty()) else { return };
        let message = format!(
            "auth.issuer: there is no [[access]] rule, so every job would be allowed everything; add one, such as users = \
             [\"{name}:*\"] with repositories = [\"${{user}}/**\"] and actions = [\"pull\", \"push\"]",
            name = issuer.name
        );
        report.forgotten(&issuer.header, message);
    }

    /// Where users and groups may come from, beside the htpasswd file.
    pub(super) fn sources(&self) -> Sources {
        let remote = [self.ldap.as_ref().map(|_| "ldap"), self.http.as_ref().map(|_| "http")];
        Sources {
            remote: remote.into_iter().flatten().next(),
            issuers: self.issuers.iter().map(|issuer| issuer.name.clone()).collect(),
        }
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
        to.reloaded("htpasswd", htpasswd.as_ref().map_or_else(|| quoted(""), |file| to.path(file)));
        // An edit takes effect without a reload, which only repeats the warnings about the file.
        to.watched.extend(htpasswd.clone().filter(|_| *mode != AuthMode::Off));
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

/// The sources of users beside the file.
#[derive(PartialEq)]
enum Others {
    None,
    Some,
    /// One of the sections has a mistake.
    Unknown,
}

impl Others {
    fn of(
        ldap: &Option<Option<Ldap>>,
        http: &Option<Option<Service>>,
        issuers: &Option<Vec<Issuer>>,
    ) -> Self {
        match (ldap, http, issuers) {
            (Some(None), Some(None), Some(issuers)) if issuers.is_empty() => Self::None,
            (Some(_), Some(_), Some(_)) => Self::Some,
            _ => Self::Unknown,
        }
    }
}

/// `None` inside for "".
fn htpasswd(
    section: &mut Section<'_, '_>,
    mode: Option<AuthMode>,
    others: &Others,
) -> Option<Option<PathBuf>> {
    let location = section.location("htpasswd");
    // The text lost to a syntax error may have named another path, or another mode.
    let is_certain = section.is_written("htpasswd") || !section.report.is_truncated();
    let wanted = r#"the path of a file, such as "auth/htpasswd""#;
    let file = section.path_or_none("htpasswd", r#""auth/htpasswd""#, wanted)?;
    let is_needed = matches!(mode, Some(AuthMode::Basic | AuthMode::Token)) && is_certain;
    match &file {
        Some(file) if is_needed => {
            let mut remedy = format!("make it with `tidegate htpasswd add {} USER`", shell_word(file));
            if *others == Others::Some {
                remedy.push_str(", or write htpasswd = \"\" in [auth] if all users come from elsewhere");
            }
            section.needs_file("htpasswd", file, &location, &remedy);
        }
        None if is_needed && *others == Others::None => {
            let message = "auth.htpasswd: found \"\", and there is no other source of users; write the path of a file, such as \
                           \"auth/htpasswd\", or add [auth.ldap], [auth.http] or [[auth.issuer]]";
            section.report.wrong(&location, message);
        }
        _ => {}
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
