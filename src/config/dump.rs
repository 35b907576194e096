//! Prints settings as the proxy.toml that means them.
//!
//! Every struct is taken apart without `..`, so a setting that is not printed does not compile.

use std::fmt::Display;
use std::path::Path;

use super::Config;
use super::quote::toml_string;
use super::settings::{
    AccessRule, AccessTarget, Acme, Auth, CertificateFiles, ClientCertificates, ImmutableTags, Limits, Log,
    Policy, Server, Subject, Throttle, Tls, Token, Upstream, UserAgents,
};
use super::values::{print_duration, print_rate, print_size};
use super::words::{self, word};

/// The whole file.
pub(super) fn dump(config: &Config) -> String {
    let Config {
        path,
        server,
        limits,
        tls,
        acme,
        upstream,
        auth,
        user_agents,
        access,
        policy,
        token,
        log,
        warnings: _,
    } = config;
    let base = path.parent().unwrap_or(Path::new(""));
    let sections = [
        Some(dump_server(server)),
        Some(dump_limits(limits)),
        Some(dump_tls(tls, base)),
        Some(dump_client(&tls.client, base)),
        acme.as_ref().map(|acme| dump_acme(acme, base)),
        Some(dump_upstream(upstream, base)),
        Some(dump_auth(auth, base)),
        Some(dump_throttle(&auth.throttle)),
        Some(dump_user_agents(user_agents)),
    ];
    let rest = [dump_policy(policy), dump_token(token, base), dump_log(log, base)];
    let sections = sections.into_iter().flatten().chain(access.iter().map(dump_rule)).chain(rest);
    sections.map(|Written(text)| text).collect::<Vec<_>>().join("\n")
}

fn dump_server(server: &Server) -> Written {
    let Server { listen, plain, names, trusted_proxies, drain_timeout, threads } = server;
    Written::section("server")
        .key("listen", list(listen.iter().map(quoted)))
        .key("plain", list(plain.iter().map(quoted)))
        .key("names", list(names.iter().map(quoted)))
        .key("trusted_proxies", list(trusted_proxies.iter().map(quoted)))
        .key("drain_timeout", quoted(print_duration(*drain_timeout)))
        .key("threads", threads)
}

fn dump_limits(limits: &Limits) -> Written {
    let Limits {
        connections,
        connections_per_ip,
        handshake_timeout,
        header_timeout,
        idle_timeout,
        min_rate,
        header_bytes,
        headers,
        manifest_bytes,
    } = limits;
    Written::section("limits")
        .key("connections", connections)
        .key("connections_per_ip", connections_per_ip)
        .key("handshake_timeout", quoted(print_duration(*handshake_timeout)))
        .key("header_timeout", quoted(print_duration(*header_timeout)))
        .key("idle_timeout", quoted(print_duration(*idle_timeout)))
        .key("min_rate", quoted(print_rate(*min_rate)))
        .key("header_bytes", quoted(print_size(*header_bytes as u64)))
        .key("headers", headers)
        .key("manifest_bytes", quoted(print_size(*manifest_bytes)))
}

fn dump_tls(tls: &Tls, base: &Path) -> Written {
    let Tls { certificates, min_version, alpn, ticket_keys, client: _ } = tls;
    let written = Written::section("tls");
    let written = match certificates.as_slice() {
        [] => written,
        [CertificateFiles { certificate, key }] => {
            written.key("certificate", path(base, certificate)).key("key", path(base, key))
        }
        several => {
            let entries = several.iter().map(|CertificateFiles { certificate, key }| {
                format!("{{ certificate = {}, key = {} }}", path(base, certificate), path(base, key))
            });
            written.key("certificates", list(entries))
        }
    };
    written
        .key("min_version", quoted(word(words::TLS_VERSIONS, min_version)))
        .key("alpn", list(alpn.iter().map(|protocol| quoted(word(words::ALPN, protocol)))))
        .key("ticket_keys", optional_path(base, ticket_keys.as_deref()))
}

fn dump_client(client: &ClientCertificates, base: &Path) -> Written {
    let ClientCertificates { verify, ca, crl, names, reject_status, user_from } = client;
    Written::section("tls.client")
        .key("verify", quoted(word(words::VERIFY, verify)))
        .key("ca", path(base, ca))
        .key("crl", list(crl.iter().map(|crl| path(base, crl))))
        .key("names", list(names.iter().map(quoted)))
        .key("reject_status", reject_status.as_u16())
        .key("user_from", quoted(word(words::USER_FROM, user_from)))
}

fn dump_acme(acme: &Acme, base: &Path) -> Written {
    let Acme { directory, names, contact, state, challenge, ca } = acme;
    Written::section("acme")
        .key("directory", quoted(directory))
        .key("names", list(names.iter().map(quoted)))
        .key("contact", list(contact.iter().map(quoted)))
        .key("state", path(base, state))
        .key("challenge", quoted(word(words::ACME_CHALLENGES, challenge)))
        .key("ca", ca.as_ref().map_or_else(|| quoted(""), |ca| path(base, ca)))
        .key("accept_terms", true)
}

fn dump_upstream(upstream: &Upstream, base: &Path) -> Written {
    let Upstream { server, ca, connect_timeout, read_timeout, authorization } = upstream;
    Written::section("upstream")
        .key("servers", list([quoted(server)].into_iter()))
        .key("ca", optional_path(base, ca.as_deref()))
        .key("connect_timeout", quoted(print_duration(*connect_timeout)))
        .key("read_timeout", quoted(print_duration(*read_timeout)))
        .key("authorization", quoted(word(words::UPSTREAM_AUTHORIZATION, authorization)))
}

fn dump_auth(auth: &Auth, base: &Path) -> Written {
    let Auth {
        mode,
        realm,
        htpasswd,
        legacy_hashes,
        client_certificate,
        cache_ttl,
        cache_size,
        hash_threads,
        hash_queue,
        throttle: _,
    } = auth;
    Written::section("auth")
        .key("mode", quoted(word(words::AUTH_MODES, mode)))
        .key("realm", quoted(realm))
        .key("htpasswd", path(base, htpasswd))
        .key("legacy_hashes", legacy_hashes)
        .key("client_certificate", quoted(word(words::CLIENT_CERTIFICATE, client_certificate)))
        .key("cache_ttl", quoted(print_duration(*cache_ttl)))
        .key("cache_size", cache_size)
        .key("hash_threads", hash_threads)
        .key("hash_queue", hash_queue)
}

fn dump_throttle(throttle: &Throttle) -> Written {
    let Throttle { failures, window, delay } = throttle;
    Written::section("auth.throttle")
        .key("failures", failures)
        .key("window", quoted(print_duration(*window)))
        .key("delay", quoted(print_duration(*delay)))
}

fn dump_user_agents(user_agents: &UserAgents) -> Written {
    let UserAgents { deny, allow, status } = user_agents;
    Written::section("user_agents")
        .key("deny", list(deny.iter().map(quoted)))
        .key("allow", list(allow.iter().map(quoted)))
        .key("status", status.as_u16())
}

/// With the users of its groups.
fn dump_rule(rule: &AccessRule) -> Written {
    let AccessRule { place: _, subjects, repositories, rights, mentions: _ } = rule;
    let users = subjects.iter().map(|subject| match subject {
        Subject::Anonymous => quoted("anonymous"),
        Subject::EveryUser => quoted("*"),
        Subject::User(user) => quoted(user.to_string()),
    });
    Written("[[access]]\n".to_owned())
        .key("users", list(users))
        .key("repositories", list(repositories.iter().map(quoted)))
        .key("actions", list(rights.names().map(quoted)))
}

fn dump_policy(policy: &Policy) -> Written {
    let Policy { read_only, immutable_tags, catalog } = policy;
    let tags = immutable_tags
        .iter()
        .map(|ImmutableTags { repositories, tags }| quoted(format_args!("{repositories}:{tags}")));
    Written::section("policy")
        .key("read_only", read_only)
        .key("immutable_tags", list(tags))
        .key("catalog", quoted(word(words::CATALOG, catalog)))
}

fn dump_token(token: &Token, base: &Path) -> Written {
    let Token { service, issuer, key, certificate, ttl, refresh_ttl } = token;
    Written::section("token")
        .key("service", quoted(service.as_deref().unwrap_or_default()))
        .key("issuer", quoted(issuer))
        .key("key", optional_path(base, key.as_deref()))
        .key("certificate", optional_path(base, certificate.as_deref()))
        .key("ttl", quoted(print_duration(*ttl)))
        .key("refresh_ttl", quoted(print_duration(*refresh_ttl)))
}

fn dump_log(log: &Log, base: &Path) -> Written {
    let Log { level, format, access, access_format } = log;
    let access = match access {
        AccessTarget::Off => quoted("off"),
        AccessTarget::Stdout => quoted("stdout"),
        // `./` keeps a file named "off" from being read as the word.
        AccessTarget::File(file) => match file.strip_prefix(base) {
            Ok(relative) if relative.is_relative() => quoted(Path::new(".").join(relative).display()),
            _ => path(base, file),
        },
    };
    Written::section("log")
        .key("level", quoted(level))
        .key("format", quoted(word(words::LOG_FORMATS, format)))
        .key("access", access)
        .key("access_format", quoted(word(words::ACCESS_FORMATS, access_format)))
}

struct Written(String);

impl Written {
    fn section(name: &str) -> Self {
        Self(format!("[{name}]\n"))
    }

    fn key(mut self, name: &str, value: impl Display) -> Self {
        self.0.push_str(&format!("{name} = {value}\n"));
        self
    }
}

fn quoted(value: impl Display) -> String {
    toml_string(&value.to_string())
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn optional_path(base: &Path, file: Option<&Path>) -> String {
    file.map_or_else(|| quoted(""), |file| path(base, file))
}

/// Relative to the file where it can be, since it is read so.
fn path(base: &Path, path: &Path) -> String {
    quoted(path.strip_prefix(base).unwrap_or(path).display())
}
