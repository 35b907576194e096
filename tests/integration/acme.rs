//! Certificates from an ACME directory, with Pebble as the directory.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection};
use tempfile::TempDir;
use x509_parser::extensions::GeneralName;

use crate::harness::authority::common_name;
use crate::harness::http1::Client;
use crate::harness::pebble::Pebble;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::{BASIC, DEADLINE, tools};

/// Settings for two names. The state folder outlives the process.
fn settings(recorder: &Recorder, pebble: &Pebble, state: &Path) -> Settings {
    Settings::for_upstream(&recorder.url())
        .unset("tls.certificate")
        .unset("tls.key")
        .set("acme.directory", &format!("{:?}", pebble.directory()))
        .set("acme.ca", &format!("{:?}", pebble.ca()))
        .set("acme.names", r#"["registry.test", "mirror.test"]"#)
        .set("acme.contact", r#"["mailto:ops@registry.test"]"#)
        .set("acme.state", &format!("{state:?}"))
        .set("acme.accept_terms", "true")
}

/// The certificate chain for `name`, or `None` if `config` does not trust it.
fn shown(
    tidegate: &Tidegate,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Option<Vec<CertificateDer<'static>>> {
    let mut socket = TcpStream::connect(tidegate.address).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut config = (**config).clone();
    config.resumption = Resumption::disabled();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).ok()?;
    }
    Some(connection.peer_certificates().unwrap().to_vec())
}

fn wait_for_certificate(tidegate: &Tidegate, start: usize) {
    let taken_up = |line: &str| line.contains("reloaded") && line.contains("a new certificate");
    tidegate.log.wait_after(start, "the new certificate in use", taken_up);
}

/// The stdout and stderr of `tidegate check`.
fn check(settings: &Settings) -> (String, String) {
    let file = settings.file();
    let run = tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", file.to_str().unwrap()]);
    assert!(run.success, "{}", run.stderr);
    (run.stdout, run.stderr)
}

/// The names of the files in a folder. Checks that each is readable by its owner only.
fn private_files(folder: &Path) -> Vec<String> {
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .map(|entry| {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
            entry.file_name().into_string().unwrap()
        })
        .collect();
    names.sort();
    names
}

fn kill(mut tidegate: Tidegate) {
    tidegate.signal(Signal::KILL);
    tidegate.wait();
}

#[test]
fn a_certificate_is_obtained_with_tls_alpn_01_and_kept() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let state = folder.path().join("deep/acme");
    let tidegate = Tidegate::start(settings(&recorder, &pebble, &state));
    let trusting = pebble.client();

    tidegate
        .log
        .wait_for("the warning", |line| line.contains("a temporary certificate") && line.contains("WARN"));
    assert!(shown(&tidegate, &trusting, "registry.test").is_none());
    let (served, warned) = check(&tidegate.settings);
    assert!(served.contains("certificate for registry.test, mirror.test until "), "{served}");
    assert!(warned.contains("a temporary certificate, which no client trusts"), "{warned}");

    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    for name in ["registry.test", "mirror.test"] {
        let chain = shown(&tidegate, &trusting, name).expect("a trusted certificate");
        assert_eq!(chain.len(), 3);
        for pair in chain[1..].iter().collect::<Vec<_>>().windows(2) {
            assert_ne!(common_name(pair[0]), common_name(pair[1]));
        }
    }
    assert_eq!(private_files(&state), ["account.json", "certificate.pem", "lock", "renewal.json"]);
    let (served, warned) = check(&tidegate.settings);
    assert!(served.contains("certificate for registry.test, mirror.test until "), "{served}");
    assert_eq!(warned, "");

    kill(tidegate);
    let tidegate = Tidegate::start(settings(&recorder, &pebble, &state));
    assert!(shown(&tidegate, &trusting, "mirror.test").is_some(), "the certificate is in use from the start");
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn a_certificate_is_obtained_with_http_01() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let settings = settings(&recorder, &pebble, folder.path())
        .set("server.plain", r#"["127.0.0.1:0"]"#)
        .set("server.names", r#"["registry.test", "mirror.test", "localhost"]"#)
        .set("acme.challenge", r#""http-01""#);
    let tidegate = Tidegate::start(settings);
    pebble.http.open(tidegate.plain());
    wait_for_certificate(&tidegate, 0);
    assert!(shown(&tidegate, &pebble.client(), "registry.test").is_some());
}

#[test]
fn a_changed_list_of_names_is_ordered_at_once() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    let trusting = pebble.client();
    assert!(shown(&tidegate, &trusting, "third.test").is_none());

    let start = tidegate.log.len();
    let text = tidegate.settings.toml().replace("mirror.test", "third.test").replace("ops@", "admin@");
    fs::write(tidegate.settings.file(), text).unwrap();
    wait_for_certificate(&tidegate, start);
    assert!(shown(&tidegate, &trusting, "third.test").is_some());
    assert!(shown(&tidegate, &trusting, "mirror.test").is_none());
    let accounts = pebble.log.so_far().iter().filter(|line| line.contains("now 1 accounts")).count();
    assert_eq!((pebble.orders(), accounts), (2, 1));
    let account = fs::read_to_string(folder.path().join("account.json")).unwrap();
    assert!(account.contains("mailto:admin@registry.test"), "{account}");
}

#[test]
fn a_certificate_is_renewed_in_time_and_no_request_is_lost() {
    const CLIENTS: usize = 50;
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start_for(40), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    let (trusting, start, over) = (pebble.client(), tidegate.log.len(), AtomicBool::new(false));
    let first = shown(&tidegate, &trusting, "registry.test").unwrap();
    let mut config = (*trusting).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let tls = Tls::connect_for("registry.test", tidegate.address, config.clone()).unwrap();
                    let mut client = Client::over(tls);
                    for _ in 0..20 {
                        let fields = ["Host: registry.test", &format!("Authorization: {BASIC}")];
                        assert_eq!(client.exchange("GET /v2/", &fields).status, 200);
                    }
                }
            });
        }
        // By then, most of its lifetime has passed.
        tidegate.log.wait_after(start, "the renewal", |line| line.contains("order created"));
        wait_for_certificate(&tidegate, start);
        over.store(true, Ordering::Relaxed);
    });
    assert_ne!(shown(&tidegate, &trusting, "registry.test").unwrap()[0], first[0]);
    assert_eq!(pebble.orders(), 2);
}

#[test]
fn a_new_certificate_is_served_though_proxy_toml_is_broken() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start_for(20), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    let (trusting, start) = (pebble.client(), tidegate.log.len());
    let first = shown(&tidegate, &trusting, "registry.test").unwrap();
    fs::write(tidegate.settings.file(), "nonsense").unwrap();
    let served = "the new certificate is served with the running settings";
    tidegate.log.wait_after(start, "the new certificate", |line| line.contains(served));
    assert_ne!(shown(&tidegate, &trusting, "registry.test").unwrap()[0], first[0]);
}

#[test]
fn a_certificate_stays_in_service_when_its_file_is_lost() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    let (trusting, start) = (pebble.client(), tidegate.log.len());
    pebble.tls.shut();
    fs::remove_file(folder.path().join("certificate.pem")).unwrap();
    tidegate
        .log
        .wait_after(start, "the reload", |line| line.contains("the previous certificate stays in service"));
    assert!(shown(&tidegate, &trusting, "registry.test").is_some());
}

#[test]
fn an_error_of_the_directory_is_reported_and_the_order_retried() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    pebble.tls.shut();
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    let line = tidegate.log.wait_for("the failure", |line| line.contains("no certificate from"));
    for part in
        ["ERROR", "registry.test: ", "failures=1", "certificate_expires=\"there is none\"", "next_try="]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
    let (_, warned) = check(&tidegate.settings);
    assert!(warned.contains("has issued no certificate in 1 attempts; last error: "), "{warned}");

    // Killed during the pause: the pause is kept, and the error is not forgotten.
    kill(tidegate);
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    tidegate.log.wait_for("the warning at the start", |line| {
        line.contains("has issued no certificate in 1 attempts")
    });
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    assert_eq!(check(&tidegate.settings).1, "");
    assert_eq!(pebble.orders(), 2);
}

#[test]
fn corrected_settings_are_tried_at_once() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()).set("acme.ca", r#""ca.crt""#));
    pebble.tls.open(tidegate.address);
    let told = |failures: &'static str| {
        move |line: &str| line.contains("no certificate from") && line.contains(failures)
    };
    let line = tidegate.log.wait_for("the first failure", told("failures=1"));
    assert!(line.contains("invalid peer certificate"), "{line}");
    tidegate.log.wait_for("the second failure, with half a minute to wait", told("failures=2"));
    let text = tidegate.settings.toml().replace(r#""ca.crt""#, &format!("{:?}", pebble.ca()));
    fs::write(tidegate.settings.file(), text).unwrap();
    wait_for_certificate(&tidegate, 0);
    assert!(tidegate.log.so_far().iter().all(|line| !line.contains("failures=3")));
}

#[test]
fn an_order_resumes_after_the_process_was_killed() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let start = || Tidegate::start(settings(&recorder, &pebble, folder.path()));
    let looked_at = |tidegate: &Tidegate| {
        tidegate.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    };

    // Killed during validation: Pebble's connections wait at the door.
    let tidegate = start();
    looked_at(&tidegate);
    let order = fs::read(folder.path().join("order.json")).unwrap();
    kill(tidegate);
    let tidegate = start();
    tidegate.log.wait_for("the order", |line| line.contains("resuming the order"));
    looked_at(&tidegate);
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    kill(tidegate);

    // Killed before the certificate was on the disk.
    fs::remove_file(folder.path().join("certificate.pem")).unwrap();
    fs::remove_file(folder.path().join("renewal.json")).unwrap();
    fs::write(folder.path().join("order.json"), order).unwrap();
    let tidegate = start();
    wait_for_certificate(&tidegate, 0);
    assert!(shown(&tidegate, &pebble.client(), "mirror.test").is_some());
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn an_account_that_the_directory_lost_is_created_again() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    kill(tidegate);

    // A fresh directory under the same URL, which does not know the account.
    let other = Pebble::start();
    let account = fs::read_to_string(folder.path().join("account.json")).unwrap();
    let origin = |pebble: &Pebble| pebble.directory().trim_end_matches("dir").to_owned();
    let account = account.replace(&origin(&pebble), &origin(&other));
    fs::write(folder.path().join("account.json"), account).unwrap();
    // The first request with this account changes the contact.
    let settings = settings(&recorder, &other, folder.path());
    let tidegate = Tidegate::start(settings.set("acme.contact", r#"["mailto:admin@registry.test"]"#));
    assert!(
        shown(&tidegate, &pebble.client(), "registry.test").is_some(),
        "the old certificate stays in use"
    );
    other.tls.open(tidegate.address);
    let line = tidegate.log.wait_for("the failure", |line| line.contains("no certificate from"));
    assert!(line.contains("accountDoesNotExist") && line.contains("registers a new account"), "{line}");
    wait_for_certificate(&tidegate, 0);
    assert!(shown(&tidegate, &other.client(), "registry.test").is_some());
}

#[test]
fn settings_that_change_during_an_attempt_start_another() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    tidegate.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    let text = tidegate.settings.toml().replace("mirror.test", "third.test");
    fs::write(tidegate.settings.file(), text).unwrap();
    tidegate.log.wait_for("the other order", |line| line.contains("order created") && line.contains("third"));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    assert!(shown(&tidegate, &pebble.client(), "third.test").is_some());
    assert!(tidegate.log.so_far().iter().all(|line| !line.contains("no certificate from")));
}

#[test]
fn a_contact_that_the_directory_rejects_does_not_prevent_a_certificate() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);

    let start = tidegate.log.len();
    let text = tidegate.settings.toml().replace("mirror.test", "third.test");
    fs::write(tidegate.settings.file(), text.replace("mailto:ops@registry.test", "tel:+1")).unwrap();
    let line = tidegate.log.wait_after(start, "the warning", |line| line.contains("rejects acme.contact"));
    assert!(line.contains("WARN") && line.contains("unsupportedContact"), "{line}");
    wait_for_certificate(&tidegate, start);
    assert!(shown(&tidegate, &pebble.client(), "third.test").is_some());
}

#[test]
fn the_account_is_kept_while_another_directory_is_tried() {
    let (recorder, staging, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let production = Pebble::start();
    let visits = [(&staging, "mirror.test"), (&production, "mirror.test"), (&staging, "third.test")];
    for (pebble, name) in visits {
        let names = format!(r#"["registry.test", "{name}"]"#);
        let settings = settings(&recorder, pebble, folder.path()).set("acme.names", &names);
        let tidegate = Tidegate::start(settings);
        pebble.tls.open(tidegate.address);
        wait_for_certificate(&tidegate, 0);
        assert!(shown(&tidegate, &pebble.client(), name).is_some());
        kill(tidegate);
    }
    assert_eq!(staging.orders(), 2);
    assert!(staging.log.so_far().iter().all(|line| !line.contains("now 2 accounts")));
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let first = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    first.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    let renewal = fs::read(folder.path().join("renewal.json")).unwrap();
    let other = settings(&recorder, &pebble, folder.path()).set("acme.names", r#"["third.test"]"#);
    let second = Tidegate::start(other);
    let line = second.log.wait_for("the failure", |line| line.contains("no certificate from"));
    assert!(line.contains("another tidegate uses "), "{line}");
    assert_eq!(fs::read(folder.path().join("renewal.json")).unwrap(), renewal);
    pebble.tls.open(first.address);
    wait_for_certificate(&first, 0);
}

#[test]
fn the_tls_alpn_01_answer_is_only_a_handshake() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    let tidegate = Tidegate::start(settings(&recorder, &pebble, folder.path()));
    tidegate.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    let ask = |name: &str, protocol: &str| {
        let (deadline, address) = (DEADLINE.as_secs().to_string(), tidegate.address.to_string());
        let s_client =
            [&deadline, "openssl", "s_client", "-ign_eof", "-connect", &address, "-servername", name];
        tools::run("timeout", &[&s_client[..], &["-alpn", protocol]].concat())
    };
    // The answer ends because the connection does; this client would wait.
    let answer = ask("registry.test", "acme-tls/1");
    assert!(answer.success, "{}", answer.stderr);
    assert!(answer.stdout.contains("ALPN protocol: acme-tls/1"), "{}", answer.stdout);
    let start = answer.stdout.find("-----BEGIN").unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&answer.stdout.as_bytes()[start..]).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [GeneralName::DNSName("registry.test")]);
    let extension =
        certificate.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    let extension = extension.expect("acmeIdentifier");
    assert!(extension.critical);
    assert_eq!(extension.value.len(), 2 + 32);

    let refused = ask("elsewhere.test", "acme-tls/1");
    assert!(refused.stderr.contains("no application protocol"), "{}", refused.stderr);
}
