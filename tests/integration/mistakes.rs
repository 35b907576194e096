//! Messages to an operator who made a mistake in the settings.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use time::{Duration, OffsetDateTime};

use crate::harness::tidegate::{Refusal, Settings, Tidegate};
use crate::harness::tools;

fn settings() -> Settings {
    Settings::for_upstream("http://127.0.0.1:1")
}

/// The lines of the output that contain all of `words`.
fn lines_with<'a>(refusal: &'a Refusal, words: &[&str]) -> Vec<&'a String> {
    let found = refusal.output.iter().filter(|line| words.iter().all(|word| line.contains(word)));
    found.collect()
}

fn assert_one_line(refusal: &Refusal, code: i32, words: &[&str]) {
    assert_eq!(refusal.code, code, "{}", refusal.output.join("\n"));
    assert_eq!(
        lines_with(refusal, words).len(),
        1,
        "one line with {words:?} in:\n{}",
        refusal.output.join("\n")
    );
    assert!(refusal.output.len() <= 3, "one clear message, not:\n{}", refusal.output.join("\n"));
}

#[test]
fn five_mistakes_get_five_messages_with_line_and_column() {
    let settings = settings();
    let text = r#"[server]
listen = ["127.0.0.1:0", "nonsense"]
drain_timeout = "soon"

[limits]
connectoins = 5
header_bytes = true

[tls]
certificate = "server.crt"
key = "server.key"
min_version = "1.1"

[upstream]
servers = ["http://127.0.0.1:1"]

[auth]
htpasswd = "htpasswd"
"#;
    fs::write(settings.file(), text).unwrap();
    let refusal = settings.refused_as_written();
    assert_eq!(refusal.code, 78, "{}", refusal.output.join("\n"));
    for place in ["proxy.toml:2:", "proxy.toml:3:", "proxy.toml:6:", "proxy.toml:7:", "proxy.toml:12:"] {
        let lines = lines_with(&refusal, &[place]);
        assert_eq!(lines.len(), 1, "one line at {place} in:\n{}", refusal.output.join("\n"));
        let column = lines[0].split(place).nth(1).unwrap().split(':').next().unwrap();
        assert!(column.parse::<u32>().is_ok_and(|column| column > 0), "a column in {}", lines[0]);
    }
    assert!(!lines_with(&refusal, &["proxy.toml:6:", "connections"]).is_empty(), "the nearest key is named");
}

#[test]
fn a_toml_syntax_error_is_reported_with_its_place() {
    let settings = settings();
    fs::write(settings.file(), "[server]\nlisten = [\n").unwrap();
    let refusal = settings.refused_as_written();
    assert_eq!(refusal.code, 78);
    assert!(!lines_with(&refusal, &["proxy.toml:"]).is_empty(), "{:?}", refusal.output);
}

#[test]
fn unknown_settings_are_refused_and_not_ignored() {
    for (key, value) in
        [("server.proxy_header", "true"), ("server.admin", r#""""#), ("log.audit_syslog", r#""x""#)]
    {
        let refusal = settings().set(key, value).refused();
        let name = key.split('.').next_back().unwrap();
        assert_eq!(refusal.code, 78, "{key}: {:?}", refusal.output);
        let section = key.split('.').next().unwrap();
        let named = refusal.output.iter().any(|line| line.contains(name) || line.contains(section));
        assert!(named, "{key}: {:?}", refusal.output);
    }
}

#[test]
fn a_missing_file_is_named() {
    assert_one_line(&settings().refused_as_written(), 66, &["proxy.toml"]);
    for missing in ["server.crt", "server.key", "htpasswd"] {
        let settings = settings();
        fs::remove_file(settings.path().join(missing)).unwrap();
        assert_one_line(&settings.refused(), 66, &[missing]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal = settings().set("server.listen", &format!("[{address:?}]")).refused();
    assert_one_line(&refusal, 71, &[&address]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let settings = settings();
    let other = settings.authority.issue("other");
    fs::write(settings.path().join("server.key"), &other.key).unwrap();
    assert_one_line(&settings.refused(), 78, &["server.key"]);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let settings = settings();
    let key = settings.path().join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_one_line(&settings.refused(), 78, &["server.key"]);
}

#[test]
fn an_expired_certificate_is_refused() {
    let settings = settings();
    let now = OffsetDateTime::now_utc();
    let old = settings.authority.issue_dated("old", now - Duration::days(90), now - Duration::days(1));
    old.write(settings.path(), "server");
    assert_one_line(&settings.refused(), 78, &["server.crt", "expired"]);
}

#[test]
fn bad_lines_of_an_htpasswd_are_reported_with_their_numbers() {
    let settings = settings();
    let file = settings.path().join("htpasswd");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# users\n{good}nocolon\nplain:secret\n")).unwrap();
    let refusal = settings.refused();
    assert_eq!(refusal.code, 78, "{:?}", refusal.output);
    for line in ["htpasswd:3", "htpasswd:4"] {
        assert_eq!(lines_with(&refusal, &[line]).len(), 1, "{line} in {:?}", refusal.output);
    }
    assert!(!refusal.output.join("\n").contains("secret"), "no part of a password is printed");
}

#[test]
fn an_invalid_command_line_is_a_usage_error() {
    for arguments in [&["serve", "--confg", "x"][..], &["server"], &[]] {
        let run = tools::run(env!("CARGO_BIN_EXE_tidegate"), arguments);
        assert_eq!(run.code, Some(64), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn the_environment_overrides_the_file_and_its_mistakes_are_named() {
    let settings = settings().environment("TIDEGATE_LIMITS_CONNECTIONS", "many");
    assert_one_line(&settings.refused(), 78, &["TIDEGATE_LIMITS_CONNECTIONS"]);
}

#[test]
fn a_misspelt_variable_is_refused_with_the_right_spelling() {
    let settings = settings().environment("TIDEGATE_SERVR_LISTEN", "127.0.0.1:0");
    assert_one_line(&settings.refused(), 78, &["TIDEGATE_SERVR_LISTEN", "TIDEGATE_SERVER_LISTEN?"]);
}

#[test]
fn variables_of_a_kubernetes_service_named_tidegate_are_ignored() {
    let mut settings = settings();
    for (name, value) in [
        ("TIDEGATE_SERVICE_HOST", "10.96.0.7"),
        ("TIDEGATE_SERVICE_PORT", "443"),
        ("TIDEGATE_SERVICE_PORT_HTTPS", "443"),
        ("TIDEGATE_PORT", "tcp://10.96.0.7:443"),
        ("TIDEGATE_PORT_443_TCP", "tcp://10.96.0.7:443"),
        ("TIDEGATE_PORT_443_TCP_ADDR", "10.96.0.7"),
    ] {
        settings = settings.environment(name, value);
    }
    let running = Tidegate::start(settings);
    assert!(!running.log.so_far().iter().any(|line| line.contains("TIDEGATE_")), "no word about them");
}
