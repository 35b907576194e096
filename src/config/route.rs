//! `[[route]]`: registries beside that of `[upstream]`, for some repositories or some host names.

use super::complaint::Complaint;
use super::keys::ROUTE;
use super::list::{Separator, values};
use super::names::{HOST_NAME, served_name};
use super::print::{Printer, list, quoted};
use super::report::{Location, Report};
use super::section::Section;
use super::upstream::Upstream;
use crate::registry::name;
use crate::registry::pattern::Pattern;

/// An example of an entry, for messages.
pub(super) const EXAMPLE: &str =
    r#"[{ repositories = ["hub/**"], servers = ["http://mirror:5000"], strip = "hub/" }]"#;

/// An entry of `[[route]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where the entry begins.
    header: Location,
    /// Host names in lower case, IPv6 addresses in brackets; empty means any.
    pub hosts: Vec<String>,
    /// Patterns without `${user}`; empty means every repository.
    pub repositories: Vec<Pattern>,
    /// What the registry's names of repositories lack; empty, or components with a `/` after each.
    /// Every pattern begins with it.
    pub strip: String,
    /// The registry.
    pub upstream: Upstream,
}

/// Routes are equal if they mean the same, wherever they are written.
impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        let Self { header: _, hosts, repositories, strip, upstream } = self;
        (hosts, repositories, strip, upstream)
            == (&other.hosts, &other.repositories, &other.strip, &other.upstream)
    }
}

impl Eq for Route {}

impl Route {
    /// `usual` is `[upstream]`, and `served` are `server.names`.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        usual: Option<&Upstream>,
        served: &[String],
    ) -> Option<Self> {
        let header = section.header.clone();
        if !section.is_written("repositories") && !section.is_written("hosts") {
            let message = "route: neither repositories nor hosts says what this registry gets; write repositories = \
                           [\"hub/**\"] or hosts = [\"mirror.example.com\"]";
            section.report.forgotten(&header, message);
        }
        let hosts = given(section, "hosts", HOST_NAME, served_name);
        for (location, host) in hosts.iter().flatten() {
            if !served.is_empty() && !served.contains(host) {
                let message = format!(
                    "route.hosts: {host} is not in server.names, so requests for it get 421; add it there"
                );
                section.report.warn(location, message);
            }
        }
        let wanted = r#"names in which * is anything within one component and ** any number of components, such as "hub/**""#;
        let repositories = given(section, "repositories", wanted, pattern);
        let strip_location = section.location("strip");
        let wanted = r#"the beginning that the registry's names lack, with its /, such as "hub/""#;
        let strip = section.text("strip", r#""""#, wanted, prefix);
        if let (Some(strip), Some(patterns)) = (&strip, &repositories) {
            check_prefix(section, &strip_location, strip, patterns);
        }
        let upstream = Upstream::of_route(section, usual);
        Some(Self {
            header,
            hosts: values(hosts)?,
            repositories: values(repositories)?,
            strip: strip?,
            upstream: upstream?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { header: _, hosts, repositories, strip, upstream } = self;
        to.section(ROUTE);
        // An empty list is not the same as none.
        if !repositories.is_empty() {
            to.reloaded("repositories", list(repositories.iter().map(quoted)));
        }
        if !hosts.is_empty() {
            to.reloaded("hosts", list(hosts.iter().map(quoted)));
        }
        to.reloaded("strip", quoted(strip));
        upstream.print_of_route(to);
    }

    /// Whether it gets every request for the hosts of `other` and for repositories that match
    /// `pattern`; `None` stands for every repository.
    fn takes(&self, other: &Self, pattern: Option<&Pattern>) -> bool {
        let has_hosts = self.hosts.is_empty()
            || !other.hosts.is_empty() && other.hosts.iter().all(|host| self.hosts.contains(host));
        let covers = |own: &Pattern| {
            let own_text = own.as_str();
            let is_below = |text: &str| {
                let folder = own_text.strip_suffix("**").filter(|folder| !folder.contains('*'));
                folder.is_some_and(|folder| text.starts_with(folder))
            };
            own.is_everything() || pattern.is_some_and(|other| other == own || is_below(other.as_str()))
        };
        has_hosts && (self.repositories.is_empty() || self.repositories.iter().any(covers))
    }
}

/// A list that may be missing, and then is empty. One that is written is not.
fn given<T: PartialEq>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> Option<Vec<(Location, T)>> {
    if section.is_written(key) {
        return section.several(key, None, wanted, parse, |_| false);
    }
    section.list(key, "[]", Separator::Comma, wanted, parse)
}

fn pattern(text: &str) -> Result<Pattern, Complaint> {
    let pattern: Pattern = text.parse()?;
    if pattern.names_user() {
        return Err("the registry cannot depend on the user".into());
    }
    Ok(pattern)
}

fn prefix(text: &str) -> Result<String, Complaint> {
    match text.strip_suffix('/') {
        None if text.is_empty() => Ok(String::new()),
        None => Err("the / at its end is missing".into()),
        Some(folder) if name::is_repository(folder) => Ok(text.to_owned()),
        Some(_) => Err("no repository has a name that begins so".into()),
    }
}

fn check_prefix(
    section: &mut Section<'_, '_>,
    strip_location: &Location,
    strip: &str,
    patterns: &[(Location, Pattern)],
) {
    if strip.is_empty() {
        return;
    }
    if patterns.is_empty() {
        let message = format!(
            "route.strip: only repositories that begin with \"{strip}\" can lose it; write repositories = [\"{strip}**\"]"
        );
        section.report.wrong(strip_location, message);
    }
    for (location, pattern) in patterns {
        let rest = pattern.as_str().strip_prefix(strip);
        if rest.is_none_or(str::is_empty) {
            let message = format!(
                "route.repositories: \"{pattern}\" does not begin with \"{strip}\", which route.strip removes; write \
                 \"{strip}**\" or another pattern behind it"
            );
            section.report.wrong(location, message);
        }
    }
}

/// Warns of each route that gets no request, because earlier ones take them all.
pub(super) fn warn_of_unreachable(routes: &[Route], report: &mut Report) {
    for (index, route) in routes.iter().enumerate() {
        let is_taken = |pattern: Option<&Pattern>| {
            routes.iter().take(index).any(|earlier| earlier.takes(route, pattern))
        };
        let is_unreachable = if route.repositories.is_empty() {
            is_taken(None)
        } else {
            route.repositories.iter().all(|pattern| is_taken(Some(pattern)))
        };
        if is_unreachable {
            let message = "route: an earlier [[route]] takes everything that this one is for; put this one before it, or \
                           remove it";
            report.warn(&route.header, message);
        }
    }
}
