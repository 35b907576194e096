//! What directories have beside the core of ACME: accounts that are bound to others, profiles, IP
//! addresses, and a word on when to renew.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::harness::directory::{Directory, Replaces};
use crate::harness::pebble::Pebble;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

fn settings(recorder: &Recorder, directory: &str, ca: &str, state: &Path) -> Settings {
    Settings::for_upstream(&recorder.url())
        .unset("tls.certificate")
        .unset("tls.key")
        .set("acme.directory", &format!("{directory:?}"))
        .set("acme.ca", &format!("{ca:?}"))
        .set("acme.names", r#"["registry.test"]"#)
        .set("acme.state", &format!("{state:?}"))
        .set("acme.accept_terms", "true")
}

fn at(directory: &Directory, recorder: &Recorder, state: &Path) -> Settings {
    settings(recorder, &directory.url(), directory.ca().to_str().unwrap(), state)
}

fn wait_for_certificate(tidegate: &Tidegate, start: usize) {
    let taken_up = |line: &str| line.contains("reloaded") && line.contains("a new certificate");
    tidegate.log.wait_after(start, "the new certificate in use", taken_up);
}

fn wait_for_failure(tidegate: &Tidegate, start: usize) -> String {
    tidegate.log.wait_after(start, "the failure", |line| line.contains("no certificate from"))
}

/// Changes proxy.toml while tidegate runs. Returns the number of lines that it had logged before.
fn change(tidegate: &Tidegate, from: &str, to: &str) -> usize {
    let text = fs::read_to_string(tidegate.settings.file()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    let start = tidegate.log.len();
    fs::write(tidegate.settings.file(), text.replace(from, to)).unwrap();
    start
}

fn kill(mut tidegate: Tidegate) {
    tidegate.signal(Signal::KILL);
    tidegate.wait();
}

#[test]
fn an_account_is_bound_to_the_one_that_the_operator_has() {
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let (recorder, pebble) = (Recorder::start(), Pebble::start_bound("kid-1", key));
    let folder = TempDir::new().unwrap();
    let settings = settings(&recorder, &pebble.directory(), &pebble.ca(), &folder.path().join("acme"));
    let hmac = settings.path().join("hmac");
    let tidegate = Tidegate::start(settings);
    pebble.tls.open(tidegate.address);
    let line = wait_for_failure(&tidegate, 0);
    assert!(
        line.contains("externalAccountRequired") && line.contains("write acme.eab_kid and acme.eab_key"),
        "{line}"
    );

    fs::write(&hmac, "bm90IHRoZSBrZXkgdGhhdCBiZWxvbmdzIHRvIGtpZC0x").unwrap();
    tidegate.settings.authority.issue("private").write(tidegate.settings.path(), "private");
    let private = fs::metadata(tidegate.settings.path().join("private.key")).unwrap().permissions();
    fs::set_permissions(&hmac, private).unwrap();
    let bound = format!("[acme]\neab_kid = \"kid-1\"\neab_key = {hmac:?}\n");
    let start = change(&tidegate, "[acme]\n", &bound);
    let line = wait_for_failure(&tidegate, start);
    assert!(
        line.contains("urn:ietf:params:acme:error:") && !line.contains("externalAccountRequired"),
        "{line}"
    );

    fs::write(&hmac, format!("{key}\n")).unwrap();
    // Nothing watches this file: the next attempt reads it.
    let start = change(&tidegate, "[acme]\n", "[acme]\ncontact = [\"mailto:ops@registry.test\"]\n");
    wait_for_certificate(&tidegate, start);
    let account = fs::read_to_string(folder.path().join("acme/account.json")).unwrap();
    assert!(account.contains(r#""eab_kid": "kid-1""#), "{account}");
    assert!(tidegate.log.so_far().iter().all(|line| !line.contains(&key[..20])));

    let start = tidegate.log.len();
    fs::write(&hmac, "not base64url!").unwrap();
    tidegate.signal(Signal::HUP);
    tidegate
        .log
        .wait_after(start, "the problem", |line| line.contains("does not hold an HMAC key in base64url"));
}

#[test]
fn the_profile_is_passed_on_and_an_unknown_one_is_reported_with_those_there_are() {
    let (recorder, directory, folder) = (Recorder::start(), Directory::start(), TempDir::new().unwrap());
    let settings = at(&directory, &recorder, folder.path()).set("acme.profile", r#""tlsserver""#);
    let tidegate = Tidegate::start(settings);
    directory.pebble.tls.open(tidegate.address);
    let line = wait_for_failure(&tidegate, 0);
    for part in
        ["nobody here makes such certificates", "invalidProfile", "acme.profile can be classic, shortlived"]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(directory.orders().is_empty());
    let start = change(&tidegate, "tlsserver", "shortlived");
    wait_for_certificate(&tidegate, start);
    assert_eq!(directory.orders()[0]["profile"], "shortlived");

    // Another kind of certificate is another certificate.
    let start = change(&tidegate, "profile = \"shortlived\"\n", "");
    wait_for_certificate(&tidegate, start);
    assert_eq!(directory.orders().len(), 2);
    assert_eq!(directory.orders()[1]["profile"], Value::Null);
}

#[test]
fn a_directory_without_profiles_is_not_asked_for_one() {
    let (recorder, pebble, folder) = (Recorder::start(), Directory::start(), TempDir::new().unwrap());
    pebble.behave(|behaviour| behaviour.has_profiles = false);
    let settings = at(&pebble, &recorder, folder.path()).set("acme.profile", r#""shortlived""#);
    let tidegate = Tidegate::start(settings);
    let line = wait_for_failure(&tidegate, 0);
    assert!(line.contains("it offers no profiles; remove acme.profile"), "{line}");
    assert!(pebble.orders().is_empty());
}

#[test]
fn a_certificate_names_ip_addresses_by_either_challenge() {
    let (recorder, pebble, folder) = (Recorder::start(), Pebble::start(), TempDir::new().unwrap());
    for (challenge, state) in [("tls-alpn-01", "a"), ("http-01", "b")] {
        let settings = settings(&recorder, &pebble.directory(), &pebble.ca(), &folder.path().join(state))
            .set("acme.names", r#"["127.0.0.1", "registry.test"]"#)
            .set("acme.challenge", &format!("{challenge:?}"))
            .set("server.plain", r#"["127.0.0.1:0"]"#)
            .set("server.names", r#"["127.0.0.1", "registry.test"]"#);
        let tidegate = Tidegate::start(settings);
        pebble.tls.open(tidegate.address);
        pebble.http.open(tidegate.plain());
        wait_for_certificate(&tidegate, 0);
        for name in ["127.0.0.1", "registry.test"] {
            // A client sends no address as a server name.
            let tls = Tls::connect_for(name, tidegate.address, pebble.client());
            assert!(tls.is_ok(), "{challenge} {name}: {:?}", tls.err());
        }
        assert!(tidegate.log.so_far().iter().all(|line| !line.contains("no certificate covers")));
        kill(tidegate);
    }
    assert_eq!(pebble.orders(), 2);
}

/// Starts tidegate with a certificate that it got a day ago.
fn with_a_certificate_of_yesterday(directory: &Directory, recorder: &Recorder, state: &Path) -> Tidegate {
    let tidegate = Tidegate::start(at(directory, recorder, state));
    directory.pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    kill(tidegate);
    let file = state.join("renewal.json");
    let mut renewal: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let yesterday = OffsetDateTime::now_utc() - time::Duration::days(2);
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    renewal["issued"] = yesterday.format(rfc3339).unwrap().into();
    renewal.as_object_mut().unwrap().remove("ask");
    fs::write(&file, renewal.to_string()).unwrap();
    let tidegate = Tidegate::start(at(directory, recorder, state));
    directory.pebble.tls.open(tidegate.address);
    tidegate
}

fn suggest(directory: &Directory, replaces: Replaces) {
    let now = OffsetDateTime::now_utc();
    directory.behave(|behaviour| {
        behaviour.window = Some((now - time::Duration::HOUR, now - time::Duration::MINUTE));
        behaviour.replaces = replaces;
    });
}

#[test]
fn a_certificate_is_renewed_when_the_directory_says_so_and_only_once() {
    let (recorder, directory, folder) = (Recorder::start(), Directory::start(), TempDir::new().unwrap());
    suggest(&directory, Replaces::Taken);
    let tidegate = with_a_certificate_of_yesterday(&directory, &recorder, folder.path());
    let line =
        tidegate.log.wait_for("the word", |line| line.contains("the directory suggests when to renew"));
    assert!(line.contains("https://ca.test/why"), "{line}");
    wait_for_certificate(&tidegate, 0);
    // It suggests the past for the new certificate too, which is then kept for a day.
    let next = |line: &str| line.contains("the directory suggests when to renew");
    let start = tidegate.log.so_far().iter().position(|line| next(line)).unwrap() + 1;
    tidegate.log.wait_after(start, "the word on the new one", next);
    let orders = directory.orders();
    assert_eq!((orders.len(), &orders[0]["replaces"]), (2, &Value::Null));
    let asked = directory.shared.lock().unwrap().questions.clone();
    assert_eq!(orders[1]["replaces"], asked[0]);
    assert_ne!(asked.last(), asked.first());
}

#[test]
fn a_directory_that_does_not_take_replaces_renews_all_the_same() {
    for replaces in [Replaces::Refused, Replaces::Ignored] {
        let (recorder, directory, folder) = (Recorder::start(), Directory::start(), TempDir::new().unwrap());
        suggest(&directory, replaces);
        let tidegate = with_a_certificate_of_yesterday(&directory, &recorder, folder.path());
        wait_for_certificate(&tidegate, 0);
        assert_eq!(directory.orders().last().unwrap()["replaces"], Value::Null);
        assert!(tidegate.log.so_far().iter().all(|line| !line.contains("no certificate from")));
    }
}

#[test]
fn the_schedule_stands_when_the_directory_does_not_answer() {
    let (recorder, directory, folder) = (Recorder::start(), Directory::start(), TempDir::new().unwrap());
    let tidegate = with_a_certificate_of_yesterday(&directory, &recorder, folder.path());
    let line = tidegate.log.wait_for("the warning", |line| line.contains("does not say when to renew"));
    assert!(line.contains("WARN") && line.contains("ask later"), "{line}");
    assert_eq!(directory.orders().len(), 1);
}
