//! From nothing to a running proxy with the program's own commands, as the README describes it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{self, Run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// Runs a tidegate command line, split at blanks, with `input` as its standard input.
fn tidegate(line: &str, input: &str, folder: &Path) -> Run {
    let file = folder.join("input");
    fs::write(&file, input).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    tools::run_reading(PROGRAM, &words, Stdio::from(File::open(&file).unwrap()))
}

#[test]
fn the_commands_write_everything_that_serve_needs() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("tls.certificate", r#""certs/domain.crt""#)
        .set("tls.key", r#""certs/domain.key""#)
        .set("auth.htpasswd", r#""auth/users""#);
    let folder = settings.path().to_owned();
    let here = folder.display();
    let succeed = |line: String, input: &str| {
        let run = tidegate(&line, input, &folder);
        assert!(run.success, "{line}: {}{}", run.stdout, run.stderr);
        run.stdout
    };
    succeed(format!("cert ca --out {here}/ca"), "");
    succeed(format!("cert server --ca {here}/ca --out {here}/certs localhost 127.0.0.1"), "");
    fs::create_dir(folder.join("auth")).unwrap();
    succeed(format!("htpasswd add --cost 5 {here}/auth/users testuser"), "testpass\n");
    succeed(format!("htpasswd add --cost 5 {here}/auth/users other"), "else\n");
    fs::write(settings.file(), settings.toml()).unwrap();
    succeed(format!("check --config {here}/proxy.toml"), "");

    // The printed settings can be read again, and mean the same.
    let dump = succeed(format!("check --dump --config {here}/proxy.toml"), "");
    fs::write(folder.join("again.toml"), &dump).unwrap();
    assert_eq!(succeed(format!("check --dump --config {here}/again.toml"), ""), dump);

    let running = Tidegate::start(settings);
    let url = format!("https://{}/v2/", running.host());
    let ca = folder.join("ca/ca.crt");
    let status = || tools::curl(&ca, &["--output", "/dev/null", "--write-out", "%{http_code}", &url], None);
    assert_eq!(status(), "200");

    let start = running.log.len();
    succeed(format!("cert server --renew --ca {here}/ca --out {here}/certs localhost 127.0.0.1"), "");
    running.log.wait_after(start, "the new certificate", |line| line.contains("reloaded"));
    assert_eq!(status(), "200");

    succeed(format!("htpasswd remove {here}/auth/users testuser"), "");
    assert_eq!(status(), "401");
}

#[test]
fn check_reports_what_serve_would_report() {
    let recorder = Recorder::start();
    let settings =
        Settings::for_upstream(&recorder.url()).set("limits.headers", "\"many\"").set("tls.ciphers", "[]");
    let refusal = settings.refused();
    let run = tidegate(&format!("check --config {}", settings.file().display()), "", settings.path());
    assert_eq!(run.code, Some(refusal.code));
    let said = |lines: &str| lines.lines().filter(|line| line.contains("proxy.toml:")).count();
    assert_eq!(said(&format!("{}\n{}", run.stdout, run.stderr)), 2, "{}{}", run.stdout, run.stderr);
    assert_eq!(said(&refusal.output.join("\n")), 2, "{:?}", refusal.output);
}

#[test]
fn openssl_accepts_a_client_certificate_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    let succeed = |line: &str| {
        let line = line.replace("DIR", &here.to_string());
        let run = tidegate(&line, "", folder.path());
        assert!(run.success, "{line}: {}{}", run.stdout, run.stderr);
        run.stdout
    };
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (ca, list) = (place("ca/ca.crt"), place("ca/ca.crl"));
    let verify = |certificate: &str| {
        let options = ["verify", "-x509_strict", "-purpose", "sslclient", "-crl_check", "-CAfile", &ca];
        tools::run("openssl", &[&options[..], &["-CRLfile", &list, &place(certificate)]].concat())
    };
    let openssl = |arguments: &[&str]| tools::succeed("openssl", arguments);

    succeed("cert ca --crl --out DIR/ca");
    succeed("cert client --ca DIR/ca --out DIR/build1 build1.example.com");
    succeed("cert client --ca DIR/ca --out DIR/build2 alice@example.com");
    for certificate in ["build1/client.cert", "build2/client.cert"] {
        let run = verify(certificate);
        assert!(run.success, "{}{}", run.stdout, run.stderr);
    }
    let purpose = openssl(&["x509", "-noout", "-purpose", "-in", &place("build1/client.cert")]);
    assert!(purpose.contains("SSL client : Yes") && purpose.contains("SSL server : No"), "{purpose}");

    let report = succeed("cert revoke --ca DIR/ca DIR/build1/client.cert");
    assert!(report.contains(&format!("crl = [\"{list}\"]")), "{report}");
    let run = verify("build1/client.cert");
    assert!(!run.success && run.stderr.contains("certificate revoked"), "{}{}", run.stdout, run.stderr);
    assert!(verify("build2/client.cert").success);

    let serial = openssl(&["x509", "-noout", "-serial", "-in", &place("build2/client.cert")]);
    let serial = serial.trim_start_matches("serial=").trim_end();
    succeed(&format!("cert revoke --ca DIR/ca --serial {serial}"));
    assert!(!verify("build2/client.cert").success);

    let text = openssl(&["crl", "-noout", "-text", "-in", &list, "-CAfile", &ca]);
    assert!(text.contains("Version 2 (0x1)"), "{text}");
    assert!(text.contains("X509v3 CRL Number: \n                3\n"), "{text}");
    assert!(text.contains("X509v3 Authority Key Identifier"), "{text}");
    assert!(text.contains(&format!("Serial Number: {serial}\n")), "{text}");
    assert_eq!(text.matches("Serial Number: ").count(), 2, "{text}");

    let again = tidegate(&format!("cert client --ca {here}/ca --out {here}/build1 x"), "", folder.path());
    assert_eq!(again.code, Some(73), "{}", again.stderr);
    let foreign = tidegate(&format!("cert revoke --ca {here}/ca {ca}"), "", folder.path());
    assert_eq!(foreign.code, Some(65), "{}", foreign.stderr);
}
