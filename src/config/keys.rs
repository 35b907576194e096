//! The sections of proxy.toml, the keys that their readers take, and advice on unknown keys.

use super::quote::quoted;
use super::words::{nearest, slip};

/// The sections, in the order of proxy.toml.example.
pub(super) const SECTIONS: [&str; 22] = [
    "server",
    "limits",
    "tls",
    "tls.client",
    "acme",
    "upstream",
    ROUTE,
    "auth",
    "auth.throttle",
    "auth.ldap",
    ISSUER,
    "auth.http",
    "user_agents",
    GROUPS,
    ACCESS,
    "policy",
    "cors",
    "token",
    "log",
    "admin",
    "metrics",
    "shared",
];

/// The section whose keys the operator chooses.
pub(super) const GROUPS: &str = "groups";

/// The rules, a list of tables.
pub(super) const ACCESS: &str = "access";

/// The registries beside that of `[upstream]`, a list of tables.
pub(super) const ROUTE: &str = "route";

/// The issuers of ID tokens, a list of tables.
pub(super) const ISSUER: &str = "auth.issuer";

/// The sections that are lists of tables. Each is one variable of the environment.
pub(super) const LISTS: [&str; 3] = [ROUTE, ISSUER, ACCESS];

/// The names that other programs give to a key: section, habitual name, key. `section.key` stands
/// for a key of another section.
pub(super) const HABITS: [(&str, &str, &str); 40] = [
    ("server", "address", "listen"),
    ("server", "bind", "listen"),
    ("server", "port", "listen"),
    ("server", "domain", "names"),
    ("server", "hostname", "names"),
    ("tls", "cert", "certificate"),
    ("tls", "cert_file", "certificate"),
    ("tls", "key_file", "key"),
    ("tls", "private_key", "key"),
    ("acme", "domains", "names"),
    ("acme", "email", "contact"),
    ("upstream", "address", "servers"),
    ("upstream", "backend", "servers"),
    ("upstream", "registry", "servers"),
    ("upstream", "url", "servers"),
    ("auth", "file", "htpasswd"),
    ("auth", "type", "mode"),
    ("auth.http", "address", "url"),
    ("auth.http", "endpoint", "url"),
    ("auth.issuer", "audiences", "audience"),
    ("auth.issuer", "claims", "require"),
    ("auth.issuer", "issuer", "url"),
    ("auth.issuer", "jwks", "keys"),
    ("auth.ldap", "address", "servers"),
    ("auth.ldap", "base_dn", "base"),
    ("auth.ldap", "host", "servers"),
    ("auth.ldap", "url", "servers"),
    ("log", "audit_file", "audit"),
    ("log", "audit_log", "audit"),
    ("admin", "address", "server.admin"),
    ("admin", "listen", "server.admin"),
    ("admin", "port", "server.admin"),
    ("admin", "user", "htpasswd"),
    ("admin", "users", "htpasswd"),
    ("metrics", "address", "server.admin"),
    ("metrics", "allow", "admin.allow"),
    ("metrics", "listen", "server.admin"),
    ("shared", "address", "url"),
    ("shared", "host", "url"),
    ("shared", "password", "password_file"),
];

/// The names that other programs give to a section: habitual name, section.
pub(super) const SECTION_HABITS: [(&str, &str); 25] = [
    ("access_log", "log"),
    ("audit", "log"),
    ("audit_log", "log"),
    ("backend", "upstream"),
    ("cluster", "shared"),
    ("health", "upstream"),
    ("http", "server"),
    ("https", "server"),
    ("issuer", ISSUER),
    ("jwt", ISSUER),
    ("ldap", "auth.ldap"),
    ("logging", "log"),
    ("oidc", ISSUER),
    ("openid", ISSUER),
    ("prometheus", "metrics"),
    ("proxy", "upstream"),
    ("redis", "shared"),
    ("registries", ROUTE),
    ("registry", "upstream"),
    ("routes", ROUTE),
    ("ssl", "tls"),
    ("status", "admin"),
    ("upstreams", "upstream"),
    ("users", "auth"),
    ("valkey", "shared"),
];

/// The variable that names the file, after `TIDEGATE_`.
const CONFIG: &str = "config";

const SHORT: usize = 3;

/// Most wrong letters in the whole name of a variable.
const SLIPS: usize = 2;

/// What happens if a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This TOML text is read instead.
    Default(&'static str),
    Required,
}

/// A key that the reader of a section takes.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: String,
    pub(super) standing: Standing,
}

/// All keys that the readers have asked for, whether or not they are written.
#[derive(Debug, Default)]
pub(super) struct Keys(pub(super) Vec<Key>);

impl Keys {
    /// Records a key, unless it is known already. Ignores the keys of [`GROUPS`], which the
    /// operator chooses, and keys outside of sections.
    pub(super) fn add(&mut self, section: &'static str, name: &str, standing: Standing) {
        let is_known = self.0.iter().any(|key| key.section == section && key.name == name);
        if !section.is_empty() && section != GROUPS && !is_known {
            self.0.push(Key { section, name: name.to_owned(), standing });
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|key| self.add(key.section, &key.name, key.standing));
    }

    /// Sorts the keys by the order of the sections. Inner sections are read before outer ones.
    pub(super) fn sort(&mut self) {
        let place = |name: &str| SECTIONS.iter().position(|section| *section == name);
        self.0.sort_by_key(|key| place(key.section).unwrap_or(SECTIONS.len()));
    }

    /// The message about a key that no reader has taken.
    pub(super) fn unknown(&self, section: &str, name: &str) -> String {
        format!("unknown key {} in {}; {}", quoted(name), header(section), self.advice(section, name))
    }

    /// The advice after "unknown key": where the key belongs, or a key with a similar name.
    pub(super) fn advice(&self, section: &str, name: &str) -> String {
        let habit = HABITS.iter().find(|(there, habit, _)| *there == section && *habit == name);
        let here = self.0.iter().filter(|key| key.section == section).map(|key| key.name.as_str());
        if let Some(key) = habit.map(|(_, _, key)| *key).or_else(|| slip(name, here)) {
            return match key.split_once('.') {
                Some((section, key)) => format!("did you mean {key:?} of {}?", header(section)),
                None => format!("did you mean {key:?}?"),
            };
        }
        if SECTIONS.contains(&name) {
            return format!("{} is a separate section", header(name));
        }
        if let Some(key) = self.0.iter().find(|key| SECTIONS.contains(&key.section) && key.name == name) {
            return format!("it belongs to {}", header(key.section));
        }
        let inner = SECTIONS.iter().filter_map(|inner| inner.strip_prefix(section)?.strip_prefix('.'));
        if let Some(near) = nearest(name, inner) {
            let inner = format!("{section}.{near}");
            return format!("did you mean {}?", header(&inner));
        }
        let here = self.0.iter().filter(|key| key.section == section);
        if let Some(near) = nearest(name, here.map(|key| key.name.as_str())) {
            return format!("did you mean {near:?}?");
        }
        // A short word resembles too many others.
        let elsewhere = self.0.iter().filter(|_| !LISTS.contains(&section) && name.len() > SHORT);
        let near = nearest(name, elsewhere.map(|key| key.name.as_str()));
        if let Some(key) = near.and_then(|near| self.0.iter().find(|key| key.name == near)) {
            return format!("did you mean {:?} of {}?", key.name, header(key.section));
        }
        if section.is_empty() {
            return all_sections();
        }
        let here = self.0.iter().filter(|key| key.section == section);
        let names: Vec<&str> = here.map(|key| key.name.as_str()).collect();
        format!("{} has {}", header(section), names.join(", "))
    }

    /// The message about a variable that names no section, if its purpose can be guessed. `rest` is
    /// its name after `TIDEGATE_`, in lower case.
    pub(super) fn variable(&self, rest: &str) -> Option<String> {
        let mut names: Vec<String> = self.0.iter().filter_map(Key::variable).collect();
        names.extend(LISTS.into_iter().chain([CONFIG]).map(underlined));
        let file = rest.starts_with(CONFIG).then(|| CONFIG.to_owned());
        let exact = self.0.iter().find(|key| key.name == rest).and_then(Key::variable);
        let group = rest.strip_prefix("group_").map(|name| format!("{GROUPS}_{name}"));
        let part = SECTIONS.iter().find(|section| underlined(section) == rest);
        let in_part = part.and_then(|part| self.0.iter().find(|key| key.section == *part)?.variable());
        let near = || nearest(rest, names.iter().map(String::as_str)).map(str::to_owned);
        let meant = exact.or(group).or(in_part).or(file).or_else(near)?;
        Some(format!("unknown variable; did you mean TIDEGATE_{}?", meant.to_uppercase()))
    }

    /// The message about a variable that is meant for a key, but does not begin with `TIDEGATE_`
    /// because of a slip.
    pub(super) fn misspelt_variable(&self, name: &str) -> Option<String> {
        let name = name.to_uppercase();
        let names =
            self.0.iter().filter_map(Key::variable).chain(LISTS.into_iter().chain([CONFIG]).map(underlined));
        let mut names = names.map(|rest| format!("TIDEGATE_{}", rest.to_uppercase()));
        let meant = names.find(|meant| strsim::damerau_levenshtein(&name, meant) <= SLIPS)?;
        Some(format!("unknown variable; did you mean {meant}?"))
    }
}

impl Key {
    /// The name of its variable after `TIDEGATE_`, in lower case. `None` for a key within a list.
    fn variable(&self) -> Option<String> {
        let section =
            SECTIONS.into_iter().find(|section| *section == self.section && !LISTS.contains(section))?;
        Some(format!("{}_{}", underlined(section), self.name))
    }
}

/// The section as the name of a variable has it, after `TIDEGATE_`.
pub(super) fn in_capitals(section: &str) -> String {
    underlined(section).to_uppercase()
}

fn underlined(section: &str) -> String {
    section.replace('.', "_")
}

/// The header of the section in the file.
pub(super) fn header(section: &str) -> String {
    if LISTS.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// The advice after "unknown section".
pub(super) fn section_advice(name: &str) -> String {
    let habit = SECTION_HABITS.iter().find(|(habit, _)| *habit == name).map(|(_, section)| *section);
    let inner = || SECTIONS.into_iter().find(|section| section.rsplit('.').next() == Some(name));
    match habit.or_else(inner).or_else(|| nearest(name, SECTIONS.into_iter())) {
        Some(near) => format!("did you mean {}?", header(near)),
        None => all_sections(),
    }
}

fn all_sections() -> String {
    format!("the sections are {}", SECTIONS.map(header).join(", "))
}
