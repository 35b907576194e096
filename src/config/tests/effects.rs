//! Whether a changed key takes effect with a reload or at the next start.

use super::*;

const ACME: &str = "[acme]\nnames = ['a.example']\nca = 'root.pem'\naccept_terms = true\n";

fn watched(text: &str) -> Vec<String> {
    let files = parse(text).unwrap().watched_files();
    files.iter().map(|file| file.display().to_string()).collect()
}

#[test]
fn every_file_that_is_read_at_a_reload_is_watched() {
    let pairs = ["a.crt", "/abs/a.key", "a.crt.ocsp", "../b.crt", "b'.key", "../b.crt.ocsp"];
    let others = [
        "tickets",
        "machines.crt",
        "roots.pem",
        "mirror.pem",
        "mirror-password",
        "roots.pem",
        "users",
        "token.key",
        "/abs/token.crt",
        "watchers",
    ];
    let expected: Vec<&str> = ["proxy.toml"].into_iter().chain(pairs).chain(others).collect();
    assert_eq!(watched(EVERYTHING), expected);
    assert_eq!(watched(ACME), ["proxy.toml", "acme/certificate.pem", "auth/htpasswd"]);
}

#[test]
fn files_without_a_use_are_not_watched() {
    let off = EVERYTHING.replace("mode = \"token\"", "mode = \"off\"");
    let off = off.replace("client_certificate = \"both\"", "");
    assert!(!watched(&off).contains(&"users".to_owned()));
    assert!(watched(&off.replace("mode = \"off\"", "mode = \"basic\"")).contains(&"users".to_owned()));
    let off = off.replace("verify = \"optional\"", "verify = \"off\"");
    assert!(!watched(&off).contains(&"machines.crt".to_owned()));
}

#[test]
fn every_key_that_is_fixed_at_the_start_is_reported() {
    let defaults = parse(PAIR).unwrap();
    for (lines, key) in [
        ("[server]\nlisten = ['127.0.0.1:1']", "server.listen"),
        ("[server]\nplain = ['127.0.0.1:1']", "server.plain"),
        ("[server]\nadmin = ['127.0.0.1:1']", "server.admin"),
        ("[server]\nthreads = 1000", "server.threads"),
        ("[limits]\nconnections = 1", "limits.connections"),
        ("[limits]\nconnections_per_ip = 1", "limits.connections_per_ip"),
        ("[auth]\ncache_ttl = '1s'", "auth.cache_ttl"),
        ("[auth]\ncache_size = 1", "auth.cache_size"),
        ("[auth]\nhash_threads = 1000", "auth.hash_threads"),
        ("[auth]\nhash_queue = 1", "auth.hash_queue"),
        ("[log]\nlevel = 'warn'", "log.level"),
        ("[log]\nformat = 'json'", "log.format"),
        ("[log]\naccess = 'off'", "log.access"),
        ("[log]\naccess_format = 'combined'", "log.access_format"),
        ("[log]\naudit = 'audit.log'", "log.audit"),
        ("[shared]\npassword_file = 'p'", "shared.password_file"),
        ("[shared]\nca = 'c'", "shared.ca"),
        ("[shared]\nprefix = 'p'", "shared.prefix"),
        ("[shared]\nsecret_file = 's'", "shared.secret_file"),
    ] {
        let changed = parse(&format!("{PAIR}{lines}\n")).unwrap();
        assert_eq!(defaults.changed_at_restart(&changed), [key]);
        assert_eq!(changed.changed_at_restart(&defaults), [key]);
    }
    assert_eq!(defaults.changed_at_restart(&defaults), [""; 0]);
}

#[test]
fn all_other_keys_take_effect_at_a_reload() {
    let fixed = [
        "server.listen",
        "server.plain",
        "server.admin",
        "server.threads",
        "limits.connections",
        "limits.connections_per_ip",
        "auth.cache_ttl",
        "auth.cache_size",
        "auth.hash_threads",
        "auth.hash_queue",
        "log.level",
        "log.format",
        "log.access",
        "log.access_format",
        "log.audit",
        "shared.url",
        "shared.password_file",
        "shared.ca",
        "shared.prefix",
        "shared.secret_file",
    ];
    let changed = parse(EVERYTHING).unwrap().changed_at_restart(&parse(PAIR).unwrap());
    assert_eq!(changed, fixed);
}
