//! `[auth.ldap]`: a directory whose users may log in.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::complaint::Complaint;
use super::list::values;
use super::names::host_and_port;
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::values::{LONGEST_WAIT, print_duration};
use crate::header::authority::{Host, HostPort};
use crate::ldap::{Filter, is_attribute};

/// A directory. Two of them are equal if they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldap {
    /// At least one; the next one counts only when one cannot be reached.
    pub servers: Vec<LdapServer>,
    /// PEM roots; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// Who searches; `None` means anonymously.
    pub bind_dn: Option<String>,
    /// The file with the password of `bind_dn`; neither is there without the other.
    pub bind_password: Option<PathBuf>,
    /// Below this DN users are searched.
    pub base: String,
    /// A filter with `${user}`.
    pub filter: Filter,
    /// The attribute that is the user's name from then on.
    pub user_attribute: String,
    /// Below this DN groups are searched; `None` means that there are no groups.
    pub group_base: Option<String>,
    /// A filter with `${dn}` or `${user}`.
    pub group_filter: Filter,
    pub group_attribute: String,
    /// Levels of groups in groups that are walked.
    pub nested: usize,
    /// For a whole login at the directory.
    pub timeout: Duration,
    /// Logins at once.
    pub connections: usize,
    /// Wrong passwords of one person that the directory is asked within the window; 0 means no
    /// limit.
    pub failures: usize,
    pub window: Duration,
}

/// Where a directory is. Displays as in proxy.toml, without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapServer {
    /// `ldaps://HOST:PORT`
    Tls { host: String, port: u16 },
    /// `ldap://HOST:PORT`, which always means STARTTLS.
    StartTls { host: String, port: u16 },
    /// `unix:/PATH`
    Unix(PathBuf),
}

const TLS_PORT: u16 = 636;
const START_TLS_PORT: u16 = 389;
/// A client waits for it.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// Clients receive it in whole seconds.
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=LONGEST_WAIT;
const MOST_CONNECTIONS: usize = 256;
const MOST_FAILURES: usize = 1000;
const MOST_LEVELS: usize = 5;

impl Ldap {
    /// `None` inside if neither a server nor a base is written.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Option<Self>> {
        let places = Places::of(section);
        let wanted = r#"the URL of a directory, such as "ldaps://dc1.example.com", "ldap://dc1.example.com" for STARTTLS, or "unix:/run/slapd/ldapi""#;
        let servers = values(section.distinct("servers", "[]", wanted, server, |_| false));
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let remedy = "name a PEM file with the root of the directory's certificate, or leave it empty for a public one";
        let ca = section.optional_file("ca", wanted, remedy);
        let wanted =
            r#"the DN of the account that searches, such as "cn=door,dc=example,dc=com", or "" for none"#;
        let bind_dn = section.text("bind_dn", r#""""#, wanted, optional_dn);
        let wanted = r#"the path of a file with the password of bind_dn, or "" for none"#;
        let remedy =
            "write the password of auth.ldap.bind_dn into it, and make it readable for its owner alone";
        let bind_password = section.optional_file("bind_password", wanted, remedy);
        let wanted = r#"the DN below which users are, such as "ou=people,dc=example,dc=com""#;
        let base = section.text("base", r#""""#, wanted, optional_dn);
        let wanted = r#"a filter for one user, such as "(uid=${user})""#;
        let filter = section.text("filter", r#""(uid=${user})""#, wanted, user_filter);
        let wanted = r#"the name of an attribute, such as "uid" or "sAMAccountName""#;
        let user_attribute = section.text("user_attribute", r#""uid""#, wanted, attribute);
        let wanted =
            r#"the DN below which groups are, such as "ou=groups,dc=example,dc=com", or "" for no groups"#;
        let group_base = section.text("group_base", r#""""#, wanted, optional_dn);
        let wanted =
            r#"a filter for the groups of a user, such as "(member=${dn})" or "(memberUid=${user})""#;
        let group_filter = section.text("group_filter", r#""(member=${dn})""#, wanted, group_filter);
        let wanted = r#"the name of an attribute, such as "cn""#;
        let group_attribute = section.text("group_attribute", r#""cn""#, wanted, attribute);
        let nested = section.number("nested", "0", 0..=MOST_LEVELS);
        let timeout = section.duration("timeout", r#""3s""#, TIMEOUT);
        let connections = section.number("connections", "4", 1..=MOST_CONNECTIONS);
        let failures = section.number("failures", "4", 0..=MOST_FAILURES);
        let window = section.duration("window", r#""15m""#, WINDOW);

        let (servers, base) = (servers?, base?);
        if servers.is_empty() && base.is_none() {
            return Some(None);
        }
        if servers.is_empty() {
            let message = "auth.ldap.servers is missing: without a server nobody can be asked; write servers = \
                           [\"ldaps://HOST\"], or remove the section";
            section.report.forgotten(&places.header, message);
        }
        if base.is_none() {
            let message = "auth.ldap.base is missing; write the DN below which users are, such as base = \
                           \"ou=people,dc=example,dc=com\"";
            section.report.forgotten(&places.header, message);
        }
        let ldap = Self {
            servers,
            ca: ca?,
            bind_dn: bind_dn?,
            bind_password: bind_password?,
            base: base.unwrap_or_default(),
            filter: filter?,
            user_attribute: user_attribute?,
            group_base: group_base?,
            group_filter: group_filter?,
            group_attribute: group_attribute?,
            nested: nested?,
            timeout: timeout?,
            connections: connections?,
            failures: failures?,
            window: window?,
        };
        ldap.check(section, &places);
        Some(Some(ldap))
    }

    /// Reports keys that need another one.
    fn check(&self, section: &mut Section<'_, '_>, places: &Places) {
        match (&self.bind_dn, &self.bind_password) {
            // A bind without a password succeeds, anonymously.
            (Some(_), None) => {
                let message = "auth.ldap.bind_password is missing, the file with the password of auth.ldap.bind_dn; \
                               write both, or none to search anonymously";
                section.report.forgotten(&places.bind_dn, message);
            }
            (None, Some(_)) => {
                let message = "auth.ldap.bind_dn is missing, the account of the password in auth.ldap.bind_password; \
                               write both, or none to search anonymously";
                section.report.forgotten(&places.bind_password, message);
            }
            _ => {}
        }
        if self.nested > 0 && !self.group_filter.names_dn() {
            let message = "auth.ldap.nested needs the members of a group as DNs: write ${dn} into \
                           auth.ldap.group_filter, or nested = 0";
            section.report.wrong(&places.nested, message);
        }
        let is_unix = |server: &LdapServer| matches!(server, LdapServer::Unix(_));
        if self.ca.is_some() && !self.servers.is_empty() && self.servers.iter().all(is_unix) {
            let message = "auth.ldap.ca has no effect: a socket has no certificate; remove the key";
            section.report.warn(&places.ca, message);
        }
        if self.nested > 0 && self.group_base.is_none() {
            let message = "auth.ldap.nested has no effect without auth.ldap.group_base; write the DN below which \
                           groups are, or remove the key";
            section.report.warn(&places.nested, message);
        }
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self {
            servers,
            ca,
            bind_dn,
            bind_password,
            base,
            filter,
            user_attribute,
            group_base,
            group_filter,
            group_attribute,
            nested,
            timeout,
            connections,
            failures,
            window,
        } = self;
        to.section("auth.ldap");
        to.reloaded("servers", list(servers.iter().map(quoted)));
        to.watched("ca", ca.as_deref());
        to.reloaded("bind_dn", quoted(bind_dn.as_deref().unwrap_or_default()));
        to.watched("bind_password", bind_password.as_deref());
        to.reloaded("base", quoted(base));
        to.reloaded("filter", quoted(filter));
        to.reloaded("user_attribute", quoted(user_attribute));
        to.reloaded("group_base", quoted(group_base.as_deref().unwrap_or_default()));
        to.reloaded("group_filter", quoted(group_filter));
        to.reloaded("group_attribute", quoted(group_attribute));
        to.reloaded("nested", nested);
        to.reloaded("timeout", quoted(print_duration(*timeout)));
        to.reloaded("connections", connections);
        to.reloaded("failures", failures);
        to.reloaded("window", quoted(print_duration(*window)));
    }
}

impl fmt::Display for LdapServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port, default) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tls { host, port } => ("ldaps", host, *port, TLS_PORT),
            Self::StartTls { host, port } => ("ldap", host, *port, START_TLS_PORT),
        };
        let port = (port != default).then_some(port);
        write!(f, "{scheme}://{}", HostPort { host: Host::bare(host), port })
    }
}

/// Where the keys are written that may need others.
struct Places {
    header: Location,
    ca: Location,
    bind_dn: Location,
    bind_password: Location,
    nested: Location,
}

impl Places {
    /// Has to be asked before the keys are read.
    fn of(section: &Section<'_, '_>) -> Self {
        Self {
            header: section.header.clone(),
            ca: section.location("ca"),
            bind_dn: section.location("bind_dn"),
            bind_password: section.location("bind_password"),
            nested: section.location("nested"),
        }
    }
}

fn server(text: &str) -> Result<LdapServer, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.contains('\0') {
            return Err("the path of a socket must begin with /".into());
        }
        return Ok(LdapServer::Unix(path.into()));
    }
    if text.starts_with('/') {
        return Err("unix: is missing before the path of a socket".into());
    }
    let (scheme, rest) = text.split_once("://").ok_or("ldaps:// or ldap:// is missing before the host")?;
    let is_tls = match scheme.to_ascii_lowercase().as_str() {
        "ldaps" => true,
        "ldap" => false,
        "ldapi" => return Err("a socket is written as unix:/PATH".into()),
        _ => return Err("the scheme is not ldaps, ldap or unix".into()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err("a user is not allowed here; see auth.ldap.bind_dn".into());
    }
    if authority.contains(['/', '?', '#']) {
        return Err("only a port may follow the host; see auth.ldap.base and auth.ldap.filter".into());
    }
    let (host, port) = host_and_port(authority, if is_tls { TLS_PORT } else { START_TLS_PORT })?;
    Ok(if is_tls { LdapServer::Tls { host, port } } else { LdapServer::StartTls { host, port } })
}

fn optional_dn(text: &str) -> Result<Option<String>, Complaint> {
    match text {
        "" => Ok(None),
        _ if text.contains(char::is_control) => Err("it holds a control character".into()),
        // Active Directory takes other names too, but each user's DN is compared with this one.
        _ if !text.contains('=') => Err("it is not a DN".into()),
        _ => Ok(Some(text.to_owned())),
    }
}

fn attribute(text: &str) -> Result<String, Complaint> {
    if is_attribute(text) { Ok(text.to_owned()) } else { Err(Complaint::Shape) }
}

fn user_filter(text: &str) -> Result<Filter, Complaint> {
    let filter = Filter::parse(text)?;
    if !filter.names_user() {
        return Err("${user} is missing, so it would find the same entry for everybody".into());
    }
    if filter.names_dn() {
        return Err("${dn} is not known before the user is found".into());
    }
    Ok(filter)
}

fn group_filter(text: &str) -> Result<Filter, Complaint> {
    let filter = Filter::parse(text)?;
    if filter.names_dn() || filter.names_user() {
        Ok(filter)
    } else {
        Err("${dn} or ${user} is missing, so everybody would be in the same groups".into())
    }
}
