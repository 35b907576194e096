//! Which clients get in by certificate, and the answers that others get. Covers the table of the
//! Apache recipe and its edge cases.

use std::fs::{self, File};
use std::process::Stdio;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SerialNumber,
};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::harness::client_ca::ClientCa;
use crate::harness::http1::Client;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::tools::{Run, run, run_reading, succeed};
use crate::harness::{PASSWORD, USER, basic};

/// A tidegate that trusts certificates of `client_ca`.
struct Setup {
    recorder: Recorder,
    client_ca: ClientCa,
    tidegate: Tidegate,
}

impl Setup {
    /// No passwords; certificates are required unless `change` says otherwise.
    fn start(change: impl FnOnce(Settings) -> Settings) -> Setup {
        let recorder = Recorder::start();
        let settings = Settings::for_upstream(&recorder.url())
            .set("auth.mode", r#""off""#)
            .set("tls.client.verify", r#""required""#)
            .set("tls.client.ca", r#""clients.crt""#)
            .set("tls.client.crl", r#"["clients.crl"]"#);
        let client_ca = ClientCa::new(settings.path());
        Setup { recorder, client_ca, tidegate: Tidegate::start(change(settings)) }
    }

    /// The status and body of a request with curl.
    fn curl(&self, who: Option<&str>, options: &[&str]) -> (u16, String) {
        let run = self.try_curl(who, options);
        assert!(run.success, "{who:?} {options:?}: {}", run.stderr);
        let (body, status) = run.stdout.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn try_curl(&self, who: Option<&str>, options: &[&str]) -> Run {
        let url = format!("https://{}/v2/", self.tidegate.host());
        let ca = self.client_ca.file("ca.crt");
        let mut all = vec!["--silent", "--show-error", "--max-time", "30", "--cacert", &ca];
        all.extend(["--write-out", "\n%{http_code}"]);
        let files = who.map(|who| ["crt", "key"].map(|end| self.client_ca.file(&format!("{who}.{end}"))));
        if let Some([certificate, key]) = &files {
            all.extend(["--cert", certificate, "--key", key]);
        }
        all.extend(options);
        all.push(&url);
        run("curl", &all)
    }

    /// Sends a request with curl, with a certificate, a password or both. Returns the status and
    /// the line in the access log.
    fn log_in(&self, who: Option<&str>, password: Option<&str>) -> (u16, Value) {
        let start = self.tidegate.access.len();
        let options: Vec<_> = password.iter().flat_map(|password| ["--user", password]).collect();
        let (status, _) = self.curl(who, &options);
        let line = self.tidegate.access.wait_after(start, "its line", |line| line.contains("curl"));
        (status, serde_json::from_str(&line).unwrap())
    }

    /// The output of `openssl s_client`, which includes the answer.
    fn openssl(&self, who: Option<&str>, options: &[&str]) -> String {
        self.openssl_asking(who, options, "localhost")
    }

    fn openssl_asking(&self, who: Option<&str>, options: &[&str], host: &str) -> String {
        let request = self.tidegate.settings.path().join("request");
        fs::write(&request, format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .unwrap();
        let (ca, address) = (self.client_ca.file("ca.crt"), self.tidegate.address.to_string());
        let mut all = vec!["s_client", "-ign_eof", "-connect", &address, "-CAfile", &ca];
        let files = who.map(|who| ["crt", "key"].map(|end| self.client_ca.file(&format!("{who}.{end}"))));
        if let Some([certificate, key]) = &files {
            all.extend(["-cert", certificate, "-cert_chain", certificate, "-key", key]);
        }
        all.extend(options);
        let run = run_reading("openssl", &all, Stdio::from(File::open(&request).unwrap()));
        format!("{}\n{}", run.stdout, run.stderr)
    }

    /// Waits for the next line of the access log with this status.
    fn logged(&self, status: u16) -> Value {
        let wanted = format!("\"status\":{status}");
        let line = self.tidegate.access.wait_for("the line of the request", |line| line.contains(&wanted));
        serde_json::from_str(&line).unwrap()
    }
}

/// The status in the output of s_client, which may print the answer in the middle of its own lines.
fn status(said: &str) -> Option<u16> {
    said.split("HTTP/1.1 ").nth(1)?.get(..3)?.parse().ok()
}

/// Writes the certificates of the Apache recipe's table and more. Returns their names, each with
/// the reason for its rejection, if any.
fn write_table(client_ca: &ClientCa) -> Vec<(&'static str, Option<&'static str>)> {
    let now = OffsetDateTime::now_utc();
    client_ca.issue("right", |_| ());
    client_ca.issue_below("below");
    client_ca.issue_for("ed25519", &key(&["-algorithm", "ED25519"]));
    client_ca.issue_for("p384", &key(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]));
    client_ca.issue_for("rsa", &key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]));
    client_ca.self_signed("self-signed");
    client_ca.issue("expired", |params| params.not_after = now - Duration::MINUTE);
    client_ca.issue("too-early", |params| params.not_before = now + Duration::HOUR);
    client_ca.issue("revoked", |params| params.serial_number = Some(SerialNumber::from(77)));
    client_ca.revoke(&[77]);
    client_ca.issue("wrong-usage", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let v1 = |file: &str| client_ca.file(file);
    // Without an extension file, openssl issues certificates of version 1.
    succeed(
        "openssl",
        &[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &v1("v1.key"),
            "-subj",
            "/CN=v1",
            "-out",
            &v1("v1.csr"),
        ],
    );
    succeed(
        "openssl",
        &["x509", "-req", "-in", &v1("v1.csr"), "-signkey", &v1("v1.key"), "-out", &v1("v1.crt")],
    );
    vec![
        ("right", None),
        ("below", None),
        ("ed25519", None),
        ("p384", None),
        ("rsa", None),
        ("self-signed", Some("the client certificate was not issued by a CA of tls.client.ca")),
        ("expired", Some("the client certificate has expired")),
        ("too-early", Some("the client certificate is not valid yet")),
        ("revoked", Some("the client certificate is revoked")),
        ("wrong-usage", Some("the client certificate is not for client authentication (extendedKeyUsage)")),
        ("v1", Some("the client certificate is of X.509 version 1; issue it with extensions")),
    ]
}

/// Made by openssl, because it cannot read every key that other libraries write.
fn key(options: &[&str]) -> KeyPair {
    KeyPair::from_pem(&succeed("openssl", &[&["genpkey"], options].concat())).unwrap()
}

#[test]
fn the_table_of_the_recipe_by_curl_and_openssl_over_both_versions() {
    for refused in [403, 404] {
        let setup = Setup::start(|settings| settings.set("tls.client.reject_status", &refused.to_string()));
        for (who, reason) in write_table(&setup.client_ca) {
            let expected = if reason.is_none() { 200 } else { refused };
            for options in [
                &["--tls-max", "1.2", "--http1.1"][..],
                &["--tls-max", "1.2", "--http2"],
                &["--tlsv1.3", "--http1.1"],
                &["--tlsv1.3", "--http2"],
            ] {
                let start = setup.tidegate.access.len();
                assert_eq!(setup.curl(Some(who), options).0, expected, "{who} {options:?}");
                let line = setup.tidegate.access.wait_after(start, "its line", |line| line.contains("curl"));
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["certificate"], who);
                assert_eq!(line["reason"].as_str(), reason, "{line}");
                assert_eq!(line["user"].as_str(), reason.is_none().then_some(who));
            }
            for version in ["-tls1_2", "-tls1_3"] {
                let said = setup.openssl(Some(who), &[version]);
                assert_eq!(status(&said), Some(expected), "{who} {version}: {said}");
            }
        }
        for version in ["-tls1_2", "-tls1_3"] {
            let said = setup.openssl(None, &[version]);
            assert_eq!(status(&said), Some(refused), "{said}");
            let names = said.split("Acceptable client certificate CA names").nth(1).unwrap();
            assert!(names.trim_start().starts_with("CN = the clients' CA"), "{said}");
        }
        let (status, body) = setup.curl(None, &[]);
        let body: Value = serde_json::from_str(&body).unwrap();
        let code = if refused == 404 { "NAME_UNKNOWN" } else { "DENIED" };
        assert_eq!((status, body["errors"][0]["code"].as_str()), (refused, Some(code)));
        let reason = r#""reason":"no client certificate""#;
        setup.tidegate.access.wait_for("the reason", |line| line.contains(reason));
    }
}

#[test]
fn the_registry_gets_the_name_in_the_certificate() {
    let setup = Setup::start(|settings| settings);
    setup.client_ca.issue("Build Machine 7", |_| ());
    assert_eq!(setup.curl(Some("Build Machine 7"), &[]).0, 200);
    let seen = setup.recorder.wait_for("the request", |_| true);
    assert_eq!(seen.all("authorization"), [basic("Build Machine 7", "")]);
}

#[test]
fn a_password_or_a_certificate() {
    let setup = Setup::start(|settings| {
        settings.set("auth.mode", r#""basic""#).set("tls.client.verify", r#""optional""#)
    });
    setup.client_ca.issue("machine", |_| ());
    setup.client_ca.self_signed("stranger");
    let right = format!("{USER}:{PASSWORD}");
    for (who, password, expected, user) in [
        (None, None, 401, None),
        (None, Some(&*right), 200, Some(USER)),
        (None, Some("testuser:wrong"), 401, None),
        (Some("machine"), None, 200, Some("machine")),
        (Some("machine"), Some(&*right), 200, Some(USER)),
        (Some("machine"), Some("testuser:wrong"), 401, None),
        (Some("stranger"), None, 403, None),
        (Some("stranger"), Some(&*right), 403, None),
    ] {
        let (status, line) = setup.log_in(who, password);
        assert_eq!(status, expected, "{who:?} {password:?}");
        assert_eq!(line["user"].as_str(), user, "{line}");
    }
}

#[test]
fn a_password_and_a_certificate() {
    let setup = Setup::start(|settings| {
        settings.set("auth.mode", r#""basic""#).set("auth.client_certificate", r#""both""#)
    });
    setup.client_ca.issue("machine", |_| ());
    setup.client_ca.self_signed("stranger");
    let right = format!("{USER}:{PASSWORD}");
    for (who, password, expected) in [
        (None, None, 403),
        (None, Some(&*right), 403),
        (Some("machine"), None, 401),
        (Some("machine"), Some("testuser:wrong"), 401),
        (Some("machine"), Some(&*right), 200),
        (Some("stranger"), Some(&*right), 403),
    ] {
        let (status, line) = setup.log_in(who, password);
        assert_eq!(status, expected, "{who:?} {password:?}");
        if status == 200 {
            assert_eq!((line["user"].as_str(), line["certificate"].as_str()), (Some(USER), Some("machine")));
        }
    }
}

#[test]
fn only_names_with_client_authentication_request_certificates() {
    let setup = Setup::start(|settings| {
        settings.authority.issue_for("both", &["localhost", "open.example"]).write(settings.path(), "server");
        settings.set("tls.client.names", r#"["localhost"]"#)
    });
    setup.client_ca.issue("machine", |_| ());
    let ask = |who, name: &str, host: &str| {
        let said = setup.openssl_asking(who, &["-servername", name], host);
        (said.contains("Acceptable client certificate CA names"), status(&said).unwrap())
    };
    assert_eq!(ask(None, "open.example", "open.example"), (false, 200));
    assert_eq!(ask(None, "localhost", "localhost"), (true, 403));
    assert_eq!(ask(Some("machine"), "localhost", "localhost"), (true, 200));
    assert_eq!(ask(Some("machine"), "LocalHost", "localhost:5043"), (true, 200));
    assert_eq!(ask(Some("machine"), "open.example", "localhost"), (false, 421));
    assert_eq!(ask(None, "localhost", "open.example"), (true, 200));
    let said = setup.openssl_asking(Some("machine"), &["-noservername"], "localhost");
    assert_eq!(status(&said), Some(200), "an IP address is requested without a server name");
    assert_eq!(
        setup.logged(421)["reason"],
        Value::from("this host name needs a separate connection with a client certificate")
    );
}

/// The session of a connection with `options`, and whether a connection with `later` resumes it.
fn resumes(setup: &Setup, options: &[&str], later: &[&str]) -> (bool, Option<u16>) {
    let session = setup.client_ca.file("session");
    let _ = fs::remove_file(&session);
    let said = setup.openssl(None, &[options, &["-sess_out", &session]].concat());
    assert!(said.contains("HTTP/1.1 "), "{said}");
    // Without a ticket, there is no session to resume.
    let from = if fs::exists(&session).unwrap() { &["-sess_in", &session][..] } else { &[] };
    let said = setup.openssl(None, &[later, from].concat());
    (said.contains("Reused, TLSv1"), status(&said))
}

#[test]
fn a_session_without_a_certificate_cannot_be_used_where_one_is_required() {
    let setup = Setup::start(|settings| {
        settings.authority.issue_for("both", &["localhost", "open.example"]).write(settings.path(), "server");
        settings.set("tls.client.names", r#"["localhost"]"#)
    });
    setup.client_ca.issue("machine", |_| ());
    let (certificate, key) = (setup.client_ca.file("machine.crt"), setup.client_ca.file("machine.key"));
    let machine = ["-cert", &certificate, "-key", &key];
    for version in ["-tls1_2", "-tls1_3"] {
        let with = |rest: &[&'static str]| [&[version], rest].concat();
        let (open, private) = (with(&["-servername", "open.example"]), with(&["-servername", "localhost"]));
        assert!(resumes(&setup, &open, &open).0, "{version}");
        assert_eq!(resumes(&setup, &open, &private), (false, Some(403)), "{version}");
        let machine: Vec<_> = private.iter().chain(&machine).copied().collect();
        assert_eq!(resumes(&setup, &open, &machine), (false, Some(200)), "{version}");
        assert_eq!(resumes(&setup, &private, &machine), (false, Some(200)), "{version}");
        assert_eq!(resumes(&setup, &machine, &private), (false, Some(403)), "{version}");
        assert!(!resumes(&setup, &machine, &open).0, "{version}");
    }
}

#[test]
fn sessions_and_connections_from_before_certificates_were_required_are_refused() {
    let setup = Setup::start(|settings| settings.set("tls.client.verify", r#""off""#));
    let session = setup.client_ca.file("session");
    let said = setup.openssl(None, &["-servername", "localhost", "-sess_out", &session]);
    assert_eq!(status(&said), Some(200));
    let mut old = Client::connect(&setup.tidegate);
    assert_eq!(old.exchange("GET /v2/", &[]).status, 200);
    let settings = fs::read_to_string(setup.tidegate.settings.file()).unwrap();
    let start = setup.tidegate.log.len();
    fs::write(
        setup.tidegate.settings.file(),
        settings.replace(r#"verify = "off""#, r#"verify = "required""#),
    )
    .unwrap();
    setup.tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    let said = setup.openssl(None, &["-servername", "localhost", "-sess_in", &session]);
    assert!(!said.contains("Reused, TLSv1") && status(&said) == Some(403), "{said}");
    assert_eq!(old.exchange("GET /v2/", &[]).status, 421);
    assert!(old.ends(), "the connection can still be used");
}

#[test]
fn a_revoked_certificate_is_refused_at_the_next_request_of_its_connection() {
    let setup = Setup::start(|settings| settings);
    setup.client_ca.issue("machine", |params| params.serial_number = Some(SerialNumber::from(5)));
    let config = setup.tidegate.settings.authority.client_showing(&setup.client_ca.file("machine"));
    let mut connection = Client::over(Tls::connect_with(setup.tidegate.address, config).unwrap());
    let mut status = || connection.exchange("GET /v2/", &[]).status;
    for _ in 0..3 {
        assert_eq!(status(), 200);
        setup.client_ca.revoke(&[5]);
        assert_eq!(status(), 403);
        setup.client_ca.revoke(&[6]);
    }
    assert_eq!(status(), 200);
    fs::write(setup.client_ca.file("clients.crl"), "half a l").unwrap();
    assert_eq!(status(), 200, "the old list stays in use while the new one is broken");
    setup
        .tidegate
        .log
        .wait_for("the error", |line| line.contains("the list of revoked certificates cannot be used"));
}

#[test]
fn mistakes_with_client_certificates_are_reported_at_start() {
    let start = |change: &dyn Fn(Settings) -> Settings| {
        let settings = Settings::for_upstream("http://127.0.0.1:1")
            .set("tls.client.verify", r#""required""#)
            .set("tls.client.ca", r#""clients.crt""#);
        ClientCa::new(settings.path());
        let refusal = change(settings).refused();
        (refusal.code, refusal.output.join("\n"))
    };
    let (code, said) = start(&|settings| settings.set("tls.client.ca", r#""none.crt""#));
    assert!(
        code == 66 && said.contains("tls.client.ca names") && said.contains("`tidegate cert ca`"),
        "{said}"
    );
    let (code, said) = start(&|settings| settings.set("tls.client.crl", r#"["clients.crt"]"#));
    assert!(code == 78 && said.contains("clients.crt: holds no list of revoked certificates"), "{said}");
    let (code, said) = start(&|settings| settings.set("tls.client.reject_status", "401"));
    assert!(code == 78 && said.contains("write a whole number from 403 to 404"), "{said}");
}

/// A stranger's 46 KB of CA certificates of one name took most of a second of a worker.
#[test]
fn a_maze_of_certificates_gets_the_usual_refusal_at_once() {
    let setup = Setup::start(|settings| settings.set("server.threads", "1"));
    let unknown = |index: u64| CustomExtension::from_oid_content(&[2, 40 + index], Vec::new());
    for (name, extensions, reason) in [
        ("wide", 800, "the client sent more than 8 certificates or 16 KiB of them"),
        ("narrow", 200, "the client certificate was not issued by a CA of tls.client.ca"),
    ] {
        setup.client_ca.self_signed(name);
        let file = setup.client_ca.file(&format!("{name}.crt"));
        let mut chain = fs::read_to_string(&file).unwrap();
        for _ in 0..7 {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.custom_extensions = (0..extensions).map(unknown).collect();
            chain += &params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        }
        fs::write(&file, chain).unwrap();
        let before = setup.tidegate.cpu_seconds();
        for _ in 0..5 {
            assert_eq!(setup.curl(Some(name), &[]).0, 403, "{name}");
        }
        let spent = setup.tidegate.cpu_seconds() - before;
        assert!(spent < 2.0, "{name}: {spent} s of CPU for five connections");
        setup.tidegate.access.wait_for(reason, |line| line.contains(reason));
    }
    assert!(setup.recorder.record().requests.is_empty());
}
