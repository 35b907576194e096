//! What popular TLS scanners report about the default settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::pki::{Pki, SERVER};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{run, succeed};

/// Default settings, with an RSA and an ECDSA certificate, so that the cipher suites of both are
/// offered.
fn start(recorder: &Recorder) -> Tidegate {
    let settings = Settings::for_upstream(&recorder.url());
    let rsa = rcgen::KeyPair::from_pem(&succeed("openssl", &["genpkey", "-algorithm", "RSA"])).unwrap();
    settings.authority.sign(&rsa, "rsa", &["localhost"]).write(settings.path(), "rsa");
    let pair = |name: &str| format!(r#"{{ certificate = "{name}.crt", key = "{name}.key" }}"#);
    let pairs = format!("[{}, {}]", pair("server"), pair("rsa"));
    Tidegate::start(settings.unset("tls.certificate").unset("tls.key").set("tls.certificates", &pairs))
}

/// Mozilla's intermediate list, version 5.7: the suites with forward secrecy, without finite-field
/// Diffie-Hellman.
const INTERMEDIATE: [&str; 9] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

#[test]
fn sslscan_finds_tls_1_2_and_1_3_with_modern_ciphers_and_nothing_else() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let report = succeed("sslscan", &["--no-colour", "--ipv4", "--xml=-", &tidegate.host()]);
    let elements = |name: &str| -> Vec<&str> {
        let opening = format!("<{name} ");
        report.lines().map(str::trim).filter(|line| line.starts_with(&opening)).collect()
    };
    let attribute = |element: &str, name: &str| {
        let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{element}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let spoken = elements("protocol").into_iter().filter(|one| attribute(one, "enabled") == "1");
    let spoken: Vec<_> =
        spoken.map(|one| attribute(one, "type") + " " + &attribute(one, "version")).collect();
    assert_eq!(spoken, ["tls 1.2", "tls 1.3"], "{report}");
    let mut ciphers: Vec<_> = elements("cipher").into_iter().map(|one| attribute(one, "cipher")).collect();
    ciphers.sort();
    let mut expected = INTERMEDIATE;
    expected.sort();
    assert_eq!(ciphers, expected, "{report}");
    assert_eq!(elements("renegotiation"), [r#"<renegotiation supported="0" secure="0" />"#]);
    for one in elements("heartbleed") {
        assert_eq!(attribute(one, "vulnerable"), "0");
    }
}

/// An openssl that waits for an answer before it stores a session. testssl 3.0 leaves right after
/// the handshake, often before the tickets of TLS 1.3 arrive, and then cannot resume.
fn patient_openssl(folder: &Path) -> String {
    let file = folder.join("openssl");
    let script = r#"#!/bin/sh
case " $* " in
*" -sess_out "*) printf 'HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
    /usr/bin/openssl "$@" -ign_eof ;;
*) exec /usr/bin/openssl "$@" ;;
esac
"#;
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

#[test]
fn testssl_finds_nothing_of_medium_severity_or_worse() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("tls.certificate", r#""leaf.crt""#)
        .set("tls.key", r#""leaf.key""#);
    // The CA has a CRL distribution point, because testssl reports certificates without one.
    let crl = "crlDistributionPoints=URI:http://ca.test/ca.crl";
    Pki::new(&settings).make("leaf", Some("root"), 90, &[SERVER, &[crl]].concat());
    let tidegate = Tidegate::start(settings);
    let at = |name: &str| tidegate.settings.path().join(name).display().to_string();
    let (ca, file, host) = (at("ca.crt"), at("findings.json"), tidegate.host());
    let quietly = ["--warnings", "off", "--color", "0", "--quiet", "--nodns", "none", "--ip", "127.0.0.1"];
    let scope = ["-p", "-s", "-f", "-P", "-S", "-h", "-R", "-C", "-B", "-H", "-I", "-T", "-W", "-F"];
    // Timeouts in seconds, long enough for a busy machine.
    let patience = ["HEADER_MAXSLEEP=60", "MAX_WAITSOCK=60", "CCS_MAX_WAITSOCK=60"];
    let mut arguments = [&patience[..], &["testssl"]].concat();
    let openssl = patient_openssl(tidegate.settings.path());
    arguments.extend(["--openssl", &openssl, "--add-ca", &ca, "--jsonfile", &file]);
    arguments.extend(quietly);
    arguments.extend(scope);
    arguments.push(&host);
    let run = run("env", &arguments);
    let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}\n{}", run.stdout, run.stderr));
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    let is =
        |finding: &Value, severities: &[&str]| severities.contains(&finding["severity"].as_str().unwrap());
    let bad: Vec<_> =
        findings.iter().filter(|one| is(one, &["MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"])).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let tickets = findings.iter().find(|one| one["id"] == "sessionresumption_ticket");
    assert_eq!(tickets.unwrap()["finding"], "supported", "{tickets:?}");
    // testssl completed the scan and did not give up.
    for id in
        ["TLS1_3", "cipher_order", "cert_chain_of_trust", "secure_client_renego", "X-Content-Type-Options"]
    {
        let found = findings.iter().any(|one| one["id"] == id && is(one, &["OK"]));
        assert!(found, "{id} is not OK:\n{}", run.stdout);
    }
}
