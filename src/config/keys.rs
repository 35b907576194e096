//! Every key that proxy.toml may hold, written once: its section, its default, whether it works yet.

/// What happens when a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This TOML text is read in its place.
    Default(&'static str),
    /// There is no default.
    Required,
    /// Part of the design, and refused until it works.
    Later,
}

/// One key of one section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) standing: Standing,
}

/// The sections, in the order of proxy.toml.example.
pub(super) const SECTIONS: [&str; 14] = [
    "server",
    "limits",
    "tls",
    "tls.client",
    "acme",
    "upstream",
    "auth",
    "auth.throttle",
    "user_agents",
    GROUPS,
    ACCESS,
    "policy",
    "token",
    "log",
];

/// The section whose keys are the operator's own.
pub(super) const GROUPS: &str = "groups";

/// The section that is a list of tables, and one variable of the environment.
pub(super) const ACCESS: &str = "access";

/// An entry of the list `tls.certificates`: keys of its own, but no section.
pub(super) const CERTIFICATE_ENTRY: &str = "tls.certificates";

/// All keys, in the order of proxy.toml.example.
pub(super) const KEYS: &[Key] = &[
    key("server", "listen", r#"["0.0.0.0:443"]"#),
    key("server", "plain", "[]"),
    key("server", "names", "[]"),
    key("server", "trusted_proxies", "[]"),
    key("server", "drain_timeout", r#""60s""#),
    key("server", "threads", "0"),
    later("server", "admin"),
    later("server", "proxy_protocol"),
    key("limits", "connections", "10000"),
    key("limits", "connections_per_ip", "0"),
    key("limits", "handshake_timeout", r#""10s""#),
    key("limits", "header_timeout", r#""30s""#),
    key("limits", "idle_timeout", r#""60s""#),
    key("limits", "min_rate", r#""500B/s""#),
    key("limits", "header_bytes", r#""32KiB""#),
    key("limits", "headers", "100"),
    key("limits", "manifest_bytes", r#""4MiB""#),
    required("tls", "certificate"),
    required("tls", "key"),
    key("tls", "certificates", "[]"),
    key("tls", "min_version", r#""1.2""#),
    key("tls", "alpn", r#"["h2", "http/1.1"]"#),
    key("tls", "ticket_keys", r#""""#),
    required(CERTIFICATE_ENTRY, "certificate"),
    required(CERTIFICATE_ENTRY, "key"),
    key("tls.client", "verify", r#""off""#),
    key("tls.client", "ca", r#""certs/clients.crt""#),
    key("tls.client", "crl", "[]"),
    key("tls.client", "names", "[]"),
    key("tls.client", "reject_status", "403"),
    key("tls.client", "user_from", r#""cn""#),
    key("acme", "directory", r#""https://acme-v02.api.letsencrypt.org/directory""#),
    key("acme", "names", "[]"),
    key("acme", "contact", "[]"),
    key("acme", "state", r#""acme""#),
    key("acme", "challenge", r#""tls-alpn-01""#),
    key("acme", "ca", r#""""#),
    key("acme", "accept_terms", "false"),
    key("upstream", "servers", r#"["http://127.0.0.1:5000"]"#),
    key("upstream", "ca", r#""""#),
    key("upstream", "connect_timeout", r#""5s""#),
    key("upstream", "read_timeout", r#""900s""#),
    key("upstream", "authorization", r#""user""#),
    later("upstream", "balance"),
    later("upstream", "resolve_every"),
    later("upstream", "health_path"),
    later("upstream", "health_every"),
    key("auth", "mode", r#""basic""#),
    key("auth", "realm", r#""registry.localhost""#),
    key("auth", "htpasswd", r#""auth/htpasswd""#),
    key("auth", "legacy_hashes", "false"),
    key("auth", "client_certificate", r#""either""#),
    key("auth", "cache_ttl", r#""5m""#),
    key("auth", "cache_size", "4096"),
    key("auth", "hash_threads", "0"),
    key("auth", "hash_queue", "64"),
    key("auth.throttle", "failures", "10"),
    key("auth.throttle", "window", r#""1m""#),
    key("auth.throttle", "delay", r#""1m""#),
    key("user_agents", "deny", r"['^docker/1\.[345]', '^Go ']"),
    key("user_agents", "allow", r"['^docker/1\.5\.[0-9]-dev']"),
    key("user_agents", "status", "404"),
    required(ACCESS, "users"),
    required(ACCESS, "repositories"),
    required(ACCESS, "actions"),
    key("policy", "read_only", "false"),
    key("policy", "immutable_tags", "[]"),
    key("policy", "catalog", r#""filtered""#),
    key("token", "service", r#""""#),
    key("token", "issuer", r#""tidegate""#),
    key("token", "key", r#""""#),
    key("token", "certificate", r#""""#),
    key("token", "ttl", r#""5m""#),
    key("token", "refresh_ttl", r#""90d""#),
    key("log", "level", r#""info""#),
    key("log", "format", r#""text""#),
    key("log", "access", r#""stdout""#),
    key("log", "access_format", r#""json""#),
    later("log", "audit"),
];

/// What is known of `name` in `section`, if anything.
pub(super) fn find(section: &str, name: &str) -> Option<Standing> {
    KEYS.iter().find(|key| key.section == section && key.name == name).map(|key| key.standing)
}

/// The words after "unknown key": where the key belongs, or what may have been meant.
pub(super) fn advice(section: &str, name: &str) -> String {
    if SECTIONS.contains(&name) {
        return format!("{} is a section of its own", header(name));
    }
    if let Some(key) = working().find(|key| key.section != CERTIFICATE_ENTRY && key.name == name) {
        return format!("it belongs to {}", header(key.section));
    }
    let inner = SECTIONS.iter().filter_map(|inner| inner.strip_prefix(section)?.strip_prefix('.'));
    if let Some(near) = nearest(name, inner) {
        return format!("did you mean [{section}.{near}]?");
    }
    let here: Vec<&str> = KEYS.iter().filter(|key| key.section == section).map(|key| key.name).collect();
    if let Some(near) = nearest(name, here.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    let elsewhere = working().filter(|_| section != ACCESS);
    let near = nearest(name, elsewhere.map(|key| key.name));
    if let Some(key) = near.and_then(|near| working().find(|key| key.name == near)) {
        return format!("did you mean {:?} of {}?", key.name, header(key.section));
    }
    if section.is_empty() {
        return all_sections();
    }
    let names: Vec<&str> = working().filter(|key| key.section == section).map(|key| key.name).collect();
    format!("{} has {}", header(section), names.join(", "))
}

/// How the section begins in the file.
pub(super) fn header(section: &str) -> String {
    if section == ACCESS { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// The words after "unknown section".
pub(super) fn section_advice(name: &str) -> String {
    let inner = SECTIONS.into_iter().find(|section| section.rsplit('.').next() == Some(name));
    match inner.or_else(|| nearest(name, SECTIONS.into_iter())) {
        Some(near) => format!("did you mean {}?", header(near)),
        None => all_sections(),
    }
}

fn all_sections() -> String {
    format!("the sections are {}", SECTIONS.map(header).join(", "))
}

/// The candidate that is a typing error away from `name`.
pub(super) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let name = name.to_lowercase().replace('-', "_");
    let length = name.chars().count();
    let allowed = |candidate: &str| (length.max(candidate.len()) / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn working() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.standing != Standing::Later)
}

const fn key(section: &'static str, name: &'static str, default: &'static str) -> Key {
    Key { section, name, standing: Standing::Default(default) }
}

const fn required(section: &'static str, name: &'static str) -> Key {
    Key { section, name, standing: Standing::Required }
}

const fn later(section: &'static str, name: &'static str) -> Key {
    Key { section, name, standing: Standing::Later }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_nearest_or_the_section() {
        assert_eq!(advice("limits", "handshake_timout"), r#"did you mean "handshake_timeout"?"#);
        assert_eq!(advice("server", "Trusted-Proxies"), r#"did you mean "trusted_proxies"?"#);
        assert_eq!(advice("upstream", "listen"), "it belongs to [server]");
        assert_eq!(advice("server", "idle_timeot"), r#"did you mean "idle_timeout" of [limits]?"#);
        assert_eq!(advice("tls", "clients"), "did you mean [tls.client]?");
        assert_eq!(advice("log", "colour"), "[log] has level, format, access, access_format");
        assert_eq!(section_advice("sever"), "did you mean [server]?");
        assert_eq!(section_advice("user-agents"), "did you mean [user_agents]?");
        assert_eq!(section_advice("acces"), "did you mean [[access]]?");
        assert_eq!(advice("policy", "users"), "it belongs to [[access]]");
        assert_eq!(advice("auth", "access"), "[[access]] is a section of its own");
        assert_eq!(advice("access", "name"), "[[access]] has users, repositories, actions");
        assert_eq!(section_advice("throttle"), "did you mean [auth.throttle]?");
        assert!(section_advice("storage").starts_with("the sections are [server], [limits]"));
    }

    #[test]
    fn sections_and_keys_agree() {
        for key in KEYS {
            assert!(SECTIONS.contains(&key.section) || key.section == CERTIFICATE_ENTRY, "{key:?}");
        }
    }
}
