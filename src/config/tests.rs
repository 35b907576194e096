//! Tests of whole files: from text to settings or problems.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::keys::Keys;
use super::*;

mod access;
mod admin;
mod effects;
mod example;
mod files;
mod issuer;
mod keys;
mod ldap;
mod log;
mod overrides;
mod problems;
mod route;
mod service;
mod shared;
mod token;
mod upstream;

const PAIR: &str = "[tls]\ncertificate = \"c.crt\"\nkey = \"c.key\"\n";

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(Path::new("proxy.toml"), text, &[])
}

/// All keys that the readers ask for.
fn known() -> Keys {
    Config::read(Path::new("proxy.toml"), "", &[]).1.keys
}

/// The problems of an invalid file, as they are printed.
fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_smallest_file_means_the_defaults() {
    let config = Config::parse(Path::new("/etc/tidegate/proxy.toml"), PAIR, &[]).unwrap();
    assert_eq!(config.server.listen, ["0.0.0.0:443".parse().unwrap()]);
    assert_eq!(
        (config.server.drain_delay, config.server.drain_timeout),
        (Duration::ZERO, Duration::from_secs(60))
    );
    assert!(config.server.threads >= 1);
    assert_eq!(config.limits.min_rate, 500);
    assert_eq!(config.limits.header_bytes, 32 << 10);
    assert_eq!(config.limits.manifest_bytes, 4 << 20);
    assert_eq!(config.tls.certificates[0].certificate, Path::new("/etc/tidegate/c.crt"));
    assert_eq!(config.tls.min_version, TlsVersion::Tls12);
    assert_eq!(config.tls.alpn, [Alpn::H2, Alpn::Http11]);
    assert_eq!(config.upstream.servers[0].to_string(), "http://127.0.0.1:5000");
    assert_eq!((&config.acme, &config.upstream.ca), (&None, &None));
    assert_eq!(config.upstream.read_timeout, Duration::from_secs(900));
    assert_eq!(config.upstream.authorization, UpstreamAuthorization::User);
    assert_eq!(config.auth.mode, AuthMode::Basic);
    assert_eq!(config.auth.realm, "registry.localhost");
    assert_eq!(config.auth.htpasswd.as_deref(), Some(Path::new("/etc/tidegate/auth/htpasswd")));
    assert!(config.auth.hash_threads >= 1);
    let minute = Duration::from_mins(1);
    assert_eq!(config.auth.throttle, Throttle { failures: 10, window: minute, delay: minute });
    assert_eq!((&config.access, &config.policy), (&Vec::new(), &Policy::default()));
    assert_eq!(config.cors, Cors::default());
    let token = Token {
        service: None,
        issuer: "tidegate".to_owned(),
        key: None,
        certificate: None,
        ttl: Duration::from_mins(5),
        refresh_ttl: Duration::ZERO,
    };
    assert_eq!(config.token, token);
    assert_eq!(config.warnings, []);
    assert_eq!(config.user_agents.deny.len(), 2);
    assert_eq!(config.user_agents.status, http::StatusCode::NOT_FOUND);
    assert_eq!(config.log.access, AccessTarget::Stdout);
    assert_eq!((&config.server.admin, config.server.readiness), (&Vec::new(), Readiness::Upstream));
    assert_eq!(config.admin, Admin { allow: Vec::new(), htpasswd: None });
    assert_eq!(config.metrics, Metrics::default());
    assert_eq!(config.log.audit, None);
}

/// Every key, with a value other than its default.
const EVERYTHING: &str = r#"
[server]
listen = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:8443"]
plain = ["127.0.0.1:0", "0.0.0.0:80"]
admin = ["127.0.0.1:0", "0.0.0.0:9443", "unix:/run/a b.sock"]
readiness = "self"
names = ["Registry.Example", "::1"]
trusted_proxies = ["10.0.0.0/8", "fd00::1"]
proxy_protocol = true
drain_delay = "5s"
drain_timeout = "0s"
threads = 3
[admin]
allow = ["10.0.0.0/8", "fd00::1"]
htpasswd = "watchers"
[limits]
connections = 1
connections_per_ip = 0x10
handshake_timeout = "1500ms"
header_timeout = "90s"
idle_timeout = "24h"
min_rate = "0B/s"
header_bytes = 65_536
headers = 7
manifest_bytes = "1MB"
[[tls.certificates]]
certificate = "a.crt"
key = "/abs/a.key"
[[tls.certificates]]
certificate = "../b.crt"
key = "b'.key"
[tls]
min_version = "1.3"
alpn = ["http/1.1"]
ticket_keys = "tickets"
[tls.client]
verify = "optional"
ca = "machines.crt"
crl = ["a.crl", "/abs/b.crl"]
names = ["Registry.Example"]
reject_status = 404
user_from = "san"
[upstream]
servers = ["http://registry:8081/artifactory/api/docker/local"]
host = "registry.example:5000"
token_path = "/service/token"
ca = "roots.pem"
connect_timeout = "1s"
read_timeout = "1h"
authorization = "pass"
user = "door"
password_file = "registry-password"
[[route]]
repositories = ["hub/**", "hub/x/*"]
hosts = ["Registry.Example"]
strip = "hub/"
servers = ["https://mirror:5001/x"]
host = "mirror"
ca = "mirror.pem"
authorization = "basic"
user = "mirror-door"
password_file = "mirror-password"
balance = "round-robin"
shared_storage = true
connections = 7
[[route]]
hosts = ["::1"]
servers = ["unix:/run/r.sock"]
[auth]
mode = "token"
client_certificate = "both"
realm = "My Registry"
htpasswd = "users"
legacy_hashes = true
cache_ttl = "0s"
cache_size = 1
hash_threads = 2
hash_queue = 1
[auth.throttle]
failures = 0
window = "90s"
delay = "1d"
[user_agents]
deny = ["it's \"odd\" \\d{1,3}", "a\tb"]
allow = []
status = 403
[groups]
developers = ["alice", "b'\"ob"]
others = ["carol", "alice"]
[[access]]
users = ["@developers", "@others", "*"]
repositories = ["team-a/**", "${user}/x-*"]
actions = ["push", "pull"]
[[access]]
users = ["anonymous"]
repositories = ["**"]
actions = ["*", "catalog"]
[policy]
read_only = true
immutable_tags = ["team-a/**:v*", "**:release-*"]
immutable_referrers = true
catalog = "off"
[cors]
origins = ["https://UI.example:443", "http://localhost:3000", "*"]
[token]
service = "registry"
issuer = "https://issuer/"
key = "token.key"
certificate = "/abs/token.crt"
ttl = "1h"
refresh_ttl = "3650d"
[log]
level = "warn,tidegate::tls=debug"
format = "json"
access = "./off"
access_format = "combined"
audit = "audit/off"
audit_required = true
audit_uploads = true
[metrics]
repositories = ["team-a/**", "public/*"]
[shared]
url = "rediss://door@valkey:7000/3"
password_file = "engine-password"
ca = "engine.pem"
prefix = "door-1"
secret_file = "engine-secret"
"#;

#[test]
fn acme_names_are_lower_case_and_its_files_stand_in_one() {
    let text = "[server]\nplain = ['[::]:80']\n[acme]\nnames = ['Registry.Example', 'b.example', '[2001:DB8::0:1]', '::ffff:192.0.2.1']\n\
                contact = ['mailto:a@b.example']\nchallenge = 'http-01'\nca = 'root.pem'\naccept_terms = true\n\
                profile = 'shortlived'\neab_kid = 'kid-1'\neab_key = 'hmac'\n";
    let config = Config::parse(Path::new("/etc/tidegate/proxy.toml"), text, &[]).unwrap();
    let acme = config.acme.clone().unwrap();
    assert_eq!(acme.names, ["registry.example", "b.example", "2001:db8::1", "192.0.2.1"]);
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(acme.challenge, AcmeChallenge::Http01);
    assert_eq!(acme.profile.as_deref(), Some("shortlived"));
    let key = Path::new("/etc/tidegate/hmac").to_owned();
    assert_eq!(acme.eab, Some(ExternalAccount { kid: "kid-1".to_owned(), key }));
    assert_eq!(acme.ca.as_deref(), Some(Path::new("/etc/tidegate/root.pem")));
    assert_eq!(acme.files().certificate, Path::new("/etc/tidegate/acme/certificate.pem"));
    assert_eq!(acme.files().key, acme.files().certificate);
    assert_eq!(config.tls.certificates, []);
    assert_eq!(Config::parse(&config.path, &config.to_toml(), &[]).unwrap(), config, "{}", config.to_toml());
}

#[test]
fn settings_print_as_a_file_that_means_the_same() {
    for path in ["proxy.toml", "conf/proxy.toml", "/etc/tidegate/proxy.toml"] {
        for text in [PAIR, EVERYTHING] {
            // The lines that warnings name are not the same.
            let parse = |text: &str| Config {
                warnings: Vec::new(),
                ..Config::parse(Path::new(path), text, &[]).unwrap()
            };
            let config = parse(text);
            let printed = config.to_toml();
            assert_eq!(parse(&printed), config, "{printed}");
        }
    }
    let config = parse(EVERYTHING).unwrap();
    assert_eq!(config.server.names, ["registry.example", "[::1]"]);
    assert_eq!(config.log.access, AccessTarget::File("off".into()));
    assert_eq!(config.log.audit.as_deref(), Some(Path::new("audit/off")));
    assert_eq!(config.tls.certificates[1].certificate, Path::new("../b.crt"));
    let is_of_everything = |warning: &Problem| warning.message.contains(" has no effect unless upstream.");
    assert!(config.warnings.iter().all(is_of_everything), "{:?}", config.warnings);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(?s).{0,200}", value in ".{0,40}") {
        let _ = parse(&text);
        let _ = parse(&format!("{PAIR}[server]\nlisten = {value}\n"));
    }

    #[test]
    fn a_mutilated_file_is_read_without_panic(cut in 0usize..2000, insert in "[\\[\\]{}=\"'#\n,.a-z0-9é]{0,8}") {
        let text = include_str!("../../proxy.toml.example").replace("# ", "");
        let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let _ = parse(&format!("{}{insert}{}", &text[..cut], &text[cut..]));
    }

    #[test]
    fn any_value_in_the_environment_is_read_without_panic(index in any::<prop::sample::Index>(), value in ".{0,40}") {
        let known = known().0;
        let key = index.get(&known);
        let name = format!("TIDEGATE_{}_{}", key.section, key.name).to_uppercase();
        let whole = ["TIDEGATE_ACCESS", "TIDEGATE_ROUTE"].map(|name| (name.to_owned(), value.clone()));
        let all = [&[(name, value)], &whole[..]].concat();
        let _ = Config::parse(Path::new("proxy.toml"), PAIR, &all);
    }
}
