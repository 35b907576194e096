//! `tidegate check` and its options, and how the command line names the settings.

use std::fs;
use std::path::Path;

use time::{Duration, OffsetDateTime};

use crate::harness::authority::Authority;
use crate::harness::fake::{self, Fake};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{self, Run};

fn settings() -> Settings {
    Settings::for_upstream("http://127.0.0.1:1")
}

/// Runs `tidegate` with its arguments, `FILE` replaced by the file of `settings`.
fn tidegate(settings: &Settings, arguments: &[&str]) -> Run {
    fs::write(settings.file(), settings.toml()).unwrap();
    let file = settings.file().display().to_string();
    let arguments: Vec<&str> =
        arguments.iter().map(|word| if *word == "FILE" { file.as_str() } else { word }).collect();
    tools::run(env!("CARGO_BIN_EXE_tidegate"), &arguments)
}

#[test]
fn the_settings_can_be_named_without_an_option() {
    let settings = settings();
    let run = tidegate(&settings, &["check", "FILE"]);
    assert!(run.success && run.stdout.contains("no errors"), "{}{}", run.stdout, run.stderr);
    let broken = settings.set("limits.headers", "0");
    let run = tidegate(&broken, &["serve", "FILE"]);
    assert!(run.code == Some(78) && run.stderr.contains("limits.headers"), "{}{}", run.stdout, run.stderr);
    let run = tidegate(&broken, &["check", "FILE", "--config", "FILE"]);
    assert!(run.code == Some(64) && run.stderr.contains("cannot be used with"), "{}", run.stderr);
    let run = tidegate(&broken, &["serve", "FILE", "--listen", "[::]:443"]);
    assert!(run.code == Some(64) && !run.stderr.contains("as a value"), "{}", run.stderr);
    let run = tidegate(&broken, &["FILE"]);
    let wanted = format!("tidegate serve --config {}", broken.file().display());
    assert!(run.code == Some(64) && run.stderr.contains(&wanted), "{}", run.stderr);
}

#[test]
fn a_registry_at_the_address_of_tidegate_itself_is_reported() {
    let listening = |listen: &str, server: &str| {
        let settings = Settings::for_upstream(server).set("server.listen", &format!("[{listen:?}]"));
        tidegate(&settings, &["check", "FILE"]).stderr
    };
    for (listen, server) in [
        ("0.0.0.0:8443", "https://127.0.0.1:8443"),
        ("[::]:8443", "http://localhost:8443"),
        ("10.0.0.1:8443", "https://10.0.0.1:8443"),
    ] {
        let wanted = format!(
            "warning: upstream.servers: {server} is tidegate itself, which listens on {listen}; write the address of \
             the registry"
        );
        let told = listening(listen, server);
        assert!(told.contains(&wanted), "{told}");
    }
    assert_eq!(listening("10.0.0.1:8443", "http://127.0.0.1:8443"), "");
    assert_eq!(listening("0.0.0.0:8443", "http://127.0.0.1:5000"), "");
}

#[test]
fn check_upstream_says_that_the_registry_answers() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    let run = tidegate(&settings, &["check", "--upstream", "FILE"]);
    let wanted = format!("registry {}: answers GET /v2/ with 200 OK", recorder.url());
    assert!(run.success && run.stdout.contains(&wanted), "{}{}", run.stdout, run.stderr);
    let seen = recorder.record().requests;
    assert_eq!((seen.len(), seen[0].all("authorization")), (1, vec![]));
}

#[test]
fn check_upstream_fails_when_the_registry_is_down_or_is_not_a_registry() {
    let refusing = fake::refusing();
    let run = tidegate(&Settings::for_upstream(&refusing), &["check", "--upstream", "FILE"]);
    assert_eq!(run.code, Some(69), "{}{}", run.stdout, run.stderr);
    let wanted = format!("error: registry {refusing}: cannot connect: Connection refused");
    assert!(run.stderr.contains(&wanted), "{}", run.stderr);
    assert!(run.stderr.contains("start the registry, or correct upstream.servers"), "{}", run.stderr);
    assert!(!run.stdout.contains("no errors"), "{}", run.stdout);
    assert!(tidegate(&settings(), &["check", "FILE"]).success, "the registry is not asked by itself");

    for (answer, words) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            "it asks for credentials of its own; remove `auth:` from its settings, or set upstream.authorization: \
             \"basic\" if",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "the API of a registry is not here"),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n", "this is a web page"),
        (
            "HTTP/1.1 308 X\r\nlocation: https://a/v2/\r\ncontent-length: 0\r\n\r\n",
            "it points to \"https://a/v2/\"; write \"https://a\" in upstream.servers",
        ),
        (
            "HTTP/1.1 302 X\r\nlocation: /ui/\r\ncontent-length: 0\r\n\r\n",
            "it points to \"/ui/\", not to a registry; correct upstream.servers",
        ),
        ("HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n", "the registry is busy; try again later"),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            "if the registry speaks TLS, write https://",
        ),
        ("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", "the registry has failed"),
        ("HTTP/1.1 200 OK\r\ncontent-type: Text/HTML\r\ncontent-length: 0\r\n\r\n", "this is a web page"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "its answer is not HTTP"),
        ("\x15\x03\x03\x00\x02\x02\x32", "if the registry speaks TLS, write https://"),
        ("", "if the registry speaks TLS, write https://"),
    ] {
        let fake = Fake::scripted(answer, true);
        let run = tidegate(&Settings::for_upstream(&fake.url()), &["check", "--upstream", "FILE"]);
        assert_eq!(run.code, Some(69), "{answer}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(words), "{answer}: {}", run.stderr);
    }
    let fake = Fake::scripted("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", true);
    let passing = Settings::for_upstream(&fake.url()).set("upstream.authorization", r#""pass""#);
    let run = tidegate(&passing, &["check", "--upstream", "FILE"]);
    assert!(run.success && run.stdout.contains("with 401"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn check_upstream_says_what_to_do_about_the_registrys_certificate() {
    let recorder = Recorder::start();
    let start = |issue: fn(&Authority, &Path)| {
        let registry = Settings::for_upstream(&recorder.url());
        issue(&registry.authority, registry.path());
        Tidegate::start(registry)
    };
    let good = start(|_, _| ());
    let misnamed =
        start(|authority, folder| authority.issue_for("x", &["other.test"]).write(folder, "server"));
    let own_ca = start(|_, folder| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
        fs::write(folder.join("ca.crt"), certificate.pem()).unwrap();
    });
    for (registry, is_trusted, words) in [
        (&good, false, "name the CA of its certificate in upstream.ca"),
        (&misnamed, true, "give the registry a certificate that is valid for this host"),
        (&own_ca, false, "its certificate is a CA's"),
        (&own_ca, true, "its certificate is a CA's"),
        (&good, true, "it asks for credentials of its own"),
    ] {
        let mut settings = Settings::for_upstream(&format!("https://localhost:{}", registry.address.port()));
        if is_trusted {
            let ca = registry.settings.path().join("ca.crt");
            settings = settings.set("upstream.ca", &format!("{:?}", ca.display().to_string()));
        }
        let run = tidegate(&settings, &["check", "--upstream", "FILE"]);
        assert!(run.code == Some(69) && run.stderr.contains(words), "{words}: {}", run.stderr);
    }
}

#[test]
fn check_expires_within_fails_for_a_certificate_that_ends_soon() {
    let settings = settings();
    let now = OffsetDateTime::now_utc();
    let ending = settings.authority.issue_dated("ending", now - Duration::days(80), now + Duration::days(4));
    ending.write(settings.path(), "server");
    let check = |within: &str| tidegate(&settings, &["check", "--expires-within", within, "FILE"]);
    let run = check("14d");
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains("error: certificate for ") && run.stderr.contains("expires in 3 days"),
        "{}",
        run.stderr
    );
    assert!(!run.stdout.contains("no errors"), "{}", run.stdout);
    let run = check("48h");
    assert!(run.success && run.stdout.contains("no errors"), "{}{}", run.stdout, run.stderr);
    let run = check("14");
    assert!(run.code == Some(64) && run.stderr.contains("such as 14d or 36h"), "{}", run.stderr);
    let both = tidegate(&settings, &["check", "--upstream", "--expires-within", "14d", "FILE"]);
    assert!(both.code == Some(69) && both.stderr.contains("expires in 3 days"), "{}", both.stderr);
}

#[test]
fn output_that_cannot_be_written_does_not_panic() {
    let settings = settings();
    fs::write(settings.file(), settings.toml()).unwrap();
    let program = env!("CARGO_BIN_EXE_tidegate");
    let file = settings.file().display().to_string();
    for (line, code) in [
        (format!("{program} check --config {file} >/dev/full"), 0),
        (format!("{program} check --dump --config {file} >/dev/full"), 0),
        (format!("{program} check --as testuser a --config {file} >/dev/full"), 0),
        (format!("{program} check --config {file}.missing 2>/dev/full"), 66),
        (format!("{program} cert ca --out {file} 2>/dev/full"), 73),
    ] {
        let run = tools::run("bash", &["-c", &line]);
        assert_eq!(run.code, Some(code), "{line}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{line}: {}", run.stderr);
    }
}
