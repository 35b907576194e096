//! The settings: proxy.toml and the environment, parsed into typed values.
//!
//! Each section has a file with its struct, its keys and their defaults, and its printer, which
//! also says how changes take effect: `server`, `limits`, `tls`, `client`, `acme`, `upstream`,
//! `route`, `auth`, `user_agents`, `groups`, `access`, `policy`, `cors`, `token`, `log`, `admin`,
//! `metrics` and `shared`. The other files are their tools: `document`, `section`, `list` and
//! `syntax` find all mistakes in one pass, and `disk` checks that the named files can be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

mod access;
mod acme;
mod address;
mod admin;
mod auth;
mod claim;
mod client;
mod complaint;
mod cors;
mod disk;
mod document;
mod environment;
mod expression;
mod groups;
mod issuer;
mod keys;
mod ldap;
mod limits;
mod list;
mod log;
mod mention;
mod metrics;
mod names;
mod paths;
mod policy;
mod print;
mod quote;
mod report;
mod route;
mod section;
mod server;
mod service;
mod shared;
mod spelling;
mod subject;
mod syntax;
mod tls;
mod token;
mod upstream;
mod user_agents;
mod values;
mod words;

use self::document::Document;
use self::groups::Groups;
use self::keys::{ACCESS, GROUPS, ISSUER, ROUTE};
use self::print::Printer;
use self::report::Report;
use crate::problem::{Problem, Problems};

pub(crate) use access::AccessRule;
pub(crate) use acme::{Acme, AcmeChallenge, ExternalAccount};
pub(crate) use address::ServerAddress;
pub(crate) use admin::{Admin, AdminAddress};
pub(crate) use auth::{Auth, AuthMode, ClientCertificate, Throttle};
pub(crate) use claim::{Claim, Part};
pub(crate) use client::{ClientCertificates, UserFrom, Verify};
pub(crate) use cors::{Allowed, Cors};
pub(crate) use issuer::{Condition, Issuer, Wanted};
pub(crate) use ldap::{Ldap, LdapServer};
pub(crate) use limits::Limits;
pub(crate) use log::{AccessFormat, AccessTarget, Log, LogFormat};
pub(crate) use metrics::Metrics;
pub(crate) use policy::{Catalog, ImmutableTags, Policy};
pub(crate) use route::Route;
pub(crate) use server::{Readiness, Server};
pub(crate) use service::{Service, ServiceAddress};
pub(crate) use shared::{EngineUrl, Shared};
pub(crate) use spelling::duration_option;
pub(crate) use subject::Subject;
pub(crate) use tls::{Alpn, CertificateFiles, Tls, TlsVersion};
pub(crate) use token::Token;
pub(crate) use upstream::{Balance, Upstream, UpstreamAuthorization};
pub(crate) use user_agents::UserAgents;

/// All settings of one proxy.toml, parsed and in range, with defaults where nothing is written.
/// Paths are relative to the working directory, as `path` is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "most fields are the sections of their names")]
pub struct Config {
    /// The file itself.
    pub path: PathBuf,
    pub server: Server,
    pub limits: Limits,
    pub tls: Tls,
    /// `None` if `[acme]` names nothing.
    pub acme: Option<Acme>,
    pub upstream: Upstream,
    /// The registries beside it, in the order of the file.
    pub routes: Vec<Route>,
    pub auth: Auth,
    pub user_agents: UserAgents,
    /// The rules in the order of the file. Without any, every user may do everything.
    pub access: Vec<AccessRule>,
    pub policy: Policy,
    pub cors: Cors,
    pub token: Token,
    pub log: Log,
    pub admin: Admin,
    pub metrics: Metrics,
    pub shared: Shared,
    /// Settings that are valid but have no effect as they are written.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads the file and the environment of the process, and checks that every file named in them
    /// exists and can be read.
    ///
    /// # Errors
    /// All mistakes, in the order of the file, the environment last.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::load_with(path, &Self::environment())
    }

    /// Like [`Config::load`], but with `environment` instead of the process's variables.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(path: &Path, environment: &[(String, String)]) -> Result<Self, Problems> {
        let text = disk::read(path)?;
        let (config, mut report) = Self::read(path, &text, environment);
        disk::check(&mut report);
        report.finish(config).map(|(config, warnings)| Self { warnings, ..config })
    }

    /// Reads only `server.admin`, with the environment of the process. Mistakes elsewhere do not
    /// matter, because the process that runs may have begun with other settings.
    ///
    /// # Errors
    /// The file cannot be read; or the list is wrong, or empty while something else is wrong.
    pub(crate) fn admin_addresses(path: &Path) -> Result<Vec<AdminAddress>, Problems> {
        let (text, environment) = (disk::read(path)?, Self::environment());
        let mut report = Report::new(path, &text);
        let sound = syntax::sound_part(&text, &mut report);
        let (table, _) = DeTable::parse_recoverable(&sound);
        let mut document = Document::new(table.into_inner(), &environment, &mut report);
        match list::values(document.section("server", admin::addresses)) {
            Some(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => Self::parse(path, &text, &environment).map(|config| config.server.admin),
        }
    }

    fn environment() -> Vec<(String, String)> {
        let variables = std::env::vars_os();
        variables
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    /// Parses `text` as the proxy.toml at `path`, without opening any file. A variable
    /// `TIDEGATE_<SECTION>_<KEY>` of `environment` overrides the text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, environment: &[(String, String)]) -> Result<Self, Problems> {
        let (config, report) = Self::read(path, text, environment);
        report.finish(config).map(|(config, warnings)| Self { warnings, ..config })
    }

    /// Reads every section. The settings are `None` only if the report holds a problem.
    fn read(path: &Path, text: &str, environment: &[(String, String)]) -> (Option<Self>, Report) {
        let mut report = Report::new(path, text);
        let sound = syntax::sound_part(text, &mut report);
        let (table, _) = DeTable::parse_recoverable(&sound);
        let mut document = Document::new(table.into_inner(), environment, &mut report);

        let mut admin_header = None;
        let admin = document.section("admin", |section| {
            admin_header = section.is_there().then(|| section.header.clone());
            Admin::read(section)
        });
        let server = document
            .section("server", |section| Server::read(section, admin.as_ref(), admin_header.as_ref()));
        let limits = document.section("limits", Limits::read);
        let client = document.section("tls.client", ClientCertificates::read);
        let verify = client.as_ref().map(|client| client.verify);
        let has_plain = server.as_ref().is_none_or(|server: &Server| !server.plain.is_empty());
        let (mut by_acme, mut acme_location) = (false, None);
        let acme = document.section("acme", |section| {
            by_acme = section.is_written("names");
            acme_location = section.is_there().then(|| section.header.clone());
            Acme::read(section, has_plain)
        });
        by_acme &= acme != Some(None);
        let tls = document.section("tls", |section| Tls::read(section, by_acme, acme_location, client));
        let upstream = document.section("upstream", Upstream::read);
        let served = server.as_ref().map_or(&[][..], |server| &server.names);
        let routes = document
            .entries(ROUTE, route::EXAMPLE, |section| Route::read(section, upstream.as_ref(), served));
        let nested = auth::Nested {
            throttle: document.section("auth.throttle", Throttle::read),
            ldap: document.section("auth.ldap", Ldap::read),
            http: document.section("auth.http", Service::read),
            issuers: document.entries(ISSUER, issuer::EXAMPLE, Issuer::read),
        };
        let auth = document.section("auth", |section| Auth::read(section, verify, nested));
        let user_agents = document.section("user_agents", UserAgents::read);
        let sources = auth.as_ref().map(Auth::sources);
        let groups = document.section(GROUPS, |section| Groups::read(section, sources.as_ref()));
        let access = document.entries(ACCESS, access::EXAMPLE, |section| {
            AccessRule::read(section, groups.as_ref(), sources.as_ref())
        });
        let policy = document.section("policy", Policy::read);
        let cors = document.section("cors", Cors::read);
        let names = server.as_ref().map_or(&[][..], |server| &server.names);
        let mode = auth.as_ref().map(|auth| auth.mode);
        let authorization = upstream.as_ref().map(|upstream| upstream.authorization);
        let shared = document.section("shared", Shared::read);
        let has_balancer = server.as_ref().is_some_and(|server| !server.trusted_proxies.is_empty());
        let is_alone = shared.as_ref().is_some_and(|shared| shared.url.is_none());
        let token = document.section("token", |section| {
            Token::read(section, names, mode, authorization, has_balancer && is_alone)
        });
        let log = document.section("log", Log::read);
        let metrics = document.section("metrics", Metrics::read);
        document.finish();
        if let (Some(auth), Some(access)) = (&auth, &access) {
            auth.expect_rules(access, &mut report);
        }
        route::warn_of_unreachable(routes.as_deref().unwrap_or_default(), &mut report);
        issuer::refuse_repetitions(auth.as_ref().map_or(&[], |auth| &auth.issuers), &mut report);
        if let Some(groups) = &groups {
            groups.warn_of_unused(&mut report);
        }

        let config = || {
            Some(Self {
                path: path.to_owned(),
                server: server?,
                limits: limits?,
                tls: tls?,
                acme: acme?,
                upstream: upstream?,
                routes: routes?,
                auth: auth?,
                user_agents: user_agents?,
                access: access?,
                policy: policy?,
                cors: cors?,
                token: token?,
                log: log?,
                admin: admin?,
                metrics: metrics?,
                shared: shared?,
                warnings: Vec::new(),
            })
        };
        (config(), report)
    }

    /// The groups from outside that rules name, such as `ldap:dev`.
    pub(crate) fn groups_elsewhere(&self) -> BTreeSet<String> {
        let subjects = self.access.iter().flat_map(|rule| &rule.subjects);
        let names = subjects.filter_map(|subject| match subject {
            Subject::Group(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }

    /// All settings as a proxy.toml that parses to the same settings at the same path, except for
    /// the warnings.
    pub fn to_toml(&self) -> String {
        self.printed().text
    }

    /// The file itself, which comes first, and the files it names whose changes need a reload.
    /// Files that are checked at every use, such as revocation lists, are not among them.
    pub(crate) fn watched_files(&self) -> Vec<PathBuf> {
        [vec![self.path.clone()], self.printed().watched].concat()
    }

    /// The keys that differ in `new` and take effect only at the next start.
    pub(crate) fn changed_at_restart(&self, new: &Self) -> Vec<String> {
        let new = new.printed().fixed;
        self.printed().fixed.into_iter().filter(|old| !new.contains(old)).map(|(key, _)| key).collect()
    }

    fn printed(&self) -> Printer<'_> {
        let Self {
            path,
            server,
            limits,
            tls,
            acme,
            upstream,
            routes,
            auth,
            user_agents,
            access,
            policy,
            cors,
            token,
            log,
            admin,
            metrics,
            shared,
            warnings: _,
        } = self;
        let mut printer = Printer::new(path.parent().unwrap_or(Path::new("")));
        let to = &mut printer;
        server.print(to);
        limits.print(to);
        tls.print(to);
        acme.iter().for_each(|acme| acme.print(to));
        upstream.print(to);
        routes.iter().for_each(|route| route.print(to));
        auth.print(to);
        user_agents.print(to);
        access.iter().for_each(|rule| rule.print(to));
        policy.print(to);
        cors.print(to);
        token.print(to);
        log.print(to);
        admin.print(to);
        metrics.print(to);
        shared.print(to);
        printer
    }
}

#[cfg(test)]
mod tests;
