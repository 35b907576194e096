//! Warnings and errors about certificates that clients will refuse, now or soon: from `check`, at
//! start and at a reload.

use std::fs;

use crate::harness::openssl::talk;
use crate::harness::pki::{ISSUER_URL, Pki, SERVER};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{Run, run};

/// Settings with `chain.crt` and `leaf.key`, where `intermediate` issued the leaf for `days`.
fn settings(days: u32, extensions: &[&str]) -> (Settings, Pki) {
    let settings = Settings::for_upstream("http://127.0.0.1:1")
        .set("tls.certificate", r#""chain.crt""#)
        .set("tls.key", r#""leaf.key""#);
    let pki = Pki::new(&settings);
    pki.make("leaf", Some("intermediate"), days, &[SERVER, extensions].concat());
    pki.bundle("chain.crt", &["leaf", "intermediate"]);
    (settings, pki)
}

fn check(settings: &Settings) -> Run {
    fs::write(settings.file(), settings.toml()).unwrap();
    run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", settings.file().to_str().unwrap()])
}

/// `check` reports nothing.
fn assert_fine(settings: &Settings) {
    let run = check(settings);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

/// `check` and a start report this one warning and continue.
fn assert_warned(settings: Settings, sentence: &str) {
    let run = check(&settings);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.starts_with("warning: ") && run.stderr.contains(sentence), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let tidegate = Tidegate::start(settings);
    tidegate.log.wait_for("the warning", |line| line.contains("WARN") && line.contains(sentence));
}

/// `check` and a start report this one error and fail.
fn assert_refused(settings: &Settings, sentence: &str) {
    let run = check(settings);
    assert_eq!(run.code, Some(78));
    assert!(run.stderr.contains(sentence) && run.stderr.lines().count() == 1, "{}", run.stderr);
    let refusal = settings.refused();
    assert!(refusal.code == 78 && refusal.output[0].contains(sentence), "{:?}", refusal.output);
}

#[test]
fn the_whole_chain_is_served_in_the_order_of_the_file() {
    let recorder = Recorder::start();
    let (settings, pki) = settings(90, &[ISSUER_URL]);
    pki.bundle("chain.crt", &["leaf", "intermediate", "root"]);
    assert_fine(&settings);
    let tidegate = Tidegate::start(settings.set("upstream.servers", &format!("[{:?}]", recorder.url())));
    let said = talk(&tidegate, &["-showcerts"]);
    let shown: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(" s:CN = ")).map(|(_, name)| name).collect();
    assert_eq!(shown, ["leaf", "intermediate", "root"], "{said}");
}

#[test]
fn a_leaf_without_its_intermediate_causes_a_warning() {
    let (settings, pki) = settings(90, &[ISSUER_URL]);
    pki.bundle("chain.crt", &["leaf"]);
    assert_warned(
        settings,
        "chain.crt: the file holds only the server's own certificate, which was probably issued by an intermediate",
    );
}

#[test]
fn a_leaf_is_enough_where_the_system_trusts_its_issuer() {
    let (settings, pki) = settings(90, &[ISSUER_URL]);
    pki.bundle("chain.crt", &["leaf"]);
    let roots = settings.path().join("intermediate.crt").display().to_string();
    let tidegate = Tidegate::start(settings.environment("SSL_CERT_FILE", &roots));
    assert_eq!(tidegate.log.so_far().iter().filter(|line| line.contains("WARN")).count(), 0);
}

#[test]
fn what_our_own_ca_issues_needs_no_chain() {
    let settings = Settings::for_upstream("http://127.0.0.1:1");
    let (tidegate, folder) = (env!("CARGO_BIN_EXE_tidegate"), settings.path().to_str().unwrap());
    assert!(run(tidegate, &["cert", "ca", "--force", "--out", folder]).success);
    assert!(run(tidegate, &["cert", "server", "--ca", folder, "--out", folder, "localhost"]).success);
    let settings = settings.set("tls.certificate", r#""domain.crt""#).set("tls.key", r#""domain.key""#);
    assert_fine(&settings);
    let settings = settings.set("server.names", r#"["localhost"]"#);
    assert_fine(&settings);
}

#[test]
fn a_chain_in_the_wrong_order_is_refused() {
    let (settings, pki) = settings(90, &[]);
    pki.bundle("chain.crt", &["leaf", "root", "intermediate"]);
    assert_refused(&settings, "chain.crt: the chain is not in order: certificate 2 (root)");
    pki.bundle("chain.crt", &["intermediate", "leaf"]);
    let run = check(&settings);
    assert_eq!(run.code, Some(78));
    assert!(run.stderr.contains("the key belongs to certificate 2 of the file (leaf)"), "{}", run.stderr);
}

#[test]
fn an_issuer_of_the_right_name_that_did_not_sign_causes_a_warning() {
    let (settings, pki) = settings(90, &[]);
    pki.make("intermediate", Some("root"), 1825, crate::harness::pki::CA);
    pki.bundle("chain.crt", &["leaf", "intermediate"]);
    assert_warned(
        settings,
        "chain.crt: certificate 1 of the file (leaf) was issued by another CA of the same name",
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (settings, pki) = settings(90, &[]);
    pki.make("other", Some("intermediate"), 90, SERVER);
    fs::copy(settings.path().join("other.key"), settings.path().join("leaf.key")).unwrap();
    assert_refused(&settings, "leaf.key: does not match the certificate in");
}

#[test]
fn a_served_name_without_a_certificate_causes_a_warning() {
    let (settings, _) = settings(90, &[]);
    let settings = settings.set("server.names", r#"["localhost", "registry.example"]"#);
    assert_warned(settings, "server.names: no certificate covers registry.example (covered: localhost)");
}

#[test]
fn an_expiry_within_three_weeks_causes_a_warning() {
    assert_fine(&settings(22, &[]).0);
    assert_warned(settings(20, &[]).0, "chain.crt: the certificate expires on ");
}

#[test]
fn a_reload_reports_the_same() {
    let (settings, pki) = settings(90, &[]);
    let tidegate = Tidegate::start(settings);
    let after = |word: &str, change: &dyn Fn()| {
        let start = tidegate.log.len();
        change();
        tidegate.log.wait_after(start, word, |line| line.contains(word));
        tidegate.log.so_far().split_off(start).join("\n")
    };
    let told = after("not reloaded", &|| pki.bundle("chain.crt", &["leaf", "root", "intermediate"]));
    assert!(told.contains("ERROR") && told.contains("the chain is not in order"), "{told}");
    let told = after("reloaded cause", &|| pki.bundle("chain.crt", &["leaf", "intermediate"]));
    assert!(!told.contains("WARN"), "{told}");
    let told = after("reloaded cause", &|| {
        pki.make("leaf", Some("intermediate"), 20, SERVER);
        pki.bundle("chain.crt", &["leaf", "intermediate"]);
    });
    assert!(told.contains("WARN") && told.contains("the certificate expires on"), "{told}");
}
