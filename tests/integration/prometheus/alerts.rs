//! Every alert fires in a real Prometheus, provoked by its real cause, and no other one does.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;
use time::{Duration, OffsetDateTime};

use super::watched::Watched;
use crate::harness::admin;
use crate::harness::fake::{Conversation, Fake, refusing};
use crate::harness::http1::{self, Client, authorized};
use crate::harness::image::{noise, push_tiny, upload};
use crate::harness::recorder::Recorder;
use crate::harness::registry::Registry;
use crate::harness::{DEADLINE, basic, tidegate};

const BLOB: &str =
    "GET /v2/team/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The beginning of a layer.
const BEGINNING: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning";

/// A registry that is well, but answers everything else than `/v2/` in its own way.
fn registry(behaviour: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Fake {
    Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("GET /v2/ ") {
                conversation.write(b"HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 2\r\n\r\n{}");
            } else {
                behaviour(conversation);
            }
        }
    })
}

/// Asks again and again, until Prometheus has told about the alert.
fn until(watched: &Watched, alert: &str, mut act: impl FnMut()) {
    let deadline = Instant::now() + DEADLINE;
    while !watched.prometheus.fired().contains(alert) {
        assert!(Instant::now() < deadline, "{alert} never fired");
        act();
    }
}

/// Challenges, missing tags and one wrong password are part of a normal day.
#[test]
fn a_day_of_pushes_and_pulls_fires_none() {
    let registry = Registry::start();
    let watched = Watched::start(admin::settings(&registry.url()));
    let mut client = Client::connect(&watched.tidegate);
    let wrong = format!("Authorization: {}", basic("testuser", "forgotten"));
    assert_eq!(client.exchange("GET /v2/", &[&wrong]).status, 401);
    // Longer than every range and every `for` of minutes: 15 minutes are nine seconds.
    let scraped = watched.scrapes() + 24.0;
    let mut tag = 0;
    while watched.scrapes() < scraped {
        tag += 1;
        assert_eq!(client.exchange("GET /v2/", &[]).status, 401);
        let absent = format!("GET /v2/team/app/manifests/absent{tag}");
        assert_eq!(client.exchange(&absent, &[&authorized()]).status, 404);
        upload(&mut client, &authorized(), "team/app", &noise(1 << 16));
        push_tiny(&mut client, &authorized(), "team/app", &format!("tag{tag}"));
        let pushed = format!("GET /v2/team/app/manifests/tag{tag}");
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        assert_eq!(client.exchange(&pushed, &[&authorized(), accept]).status, 200);
    }
    watched.assert_fired(&[]);
}

#[test]
fn a_tidegate_that_is_gone_is_unreachable() {
    let recorder = Recorder::start();
    let watched = Watched::start(admin::settings(&recorder.url()));
    watched.tidegate.signal(Signal::KILL);
    let alert = watched.wait_for_alert("Unreachable");
    assert_eq!(alert.labels["severity"], "critical");
    watched.assert_fired(&["Unreachable"]);
}

#[test]
fn a_registry_that_is_down_leaves_no_upstream() {
    let registry = Registry::start();
    let url = registry.url();
    let watched = Watched::start(admin::settings(&url));
    drop(registry);
    watched.wait_for_alert("NoUpstream");
    let alert = watched.wait_for_alert("UpstreamDown");
    assert_eq!(alert.labels["upstream"], url);
    watched.assert_fired(&["NoUpstream", "UpstreamDown"]);
}

fn certificate_of(days: i64) -> (Recorder, Watched) {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url());
    let now = OffsetDateTime::now_utc();
    let (from, until) = (now - Duration::days(80), now + Duration::days(days));
    settings.authority.issue_dated("old", from, until).write(settings.path(), "server");
    (recorder, Watched::start(settings))
}

#[test]
fn a_certificate_with_two_days_left_is_critical() {
    let (_recorder, watched) = certificate_of(2);
    let alert = watched.prometheus.wait_for_alert("CertificateEnds", |alert| {
        alert.name() == "CertificateEnds" && alert.labels["severity"] == "critical"
    });
    assert_eq!(alert.labels["name"], "localhost");
    assert!(alert.annotations["summary"].contains("ends in 1d 23h 59m"), "{alert:?}");
    watched.assert_fired(&["CertificateEnds"]);
}

#[test]
fn a_certificate_with_ten_days_left_is_a_warning() {
    let (_recorder, watched) = certificate_of(10);
    let alert = watched.wait_for_alert("CertificateEnds");
    assert_eq!(alert.labels["severity"], "warning");
    watched.wait_for_scrapes(5);
    let firing = watched.prometheus.query(r#"ALERTS{alertstate="firing"}"#);
    assert_eq!(firing.len(), 1, "{firing:?}");
}

#[test]
fn an_unreachable_acme_directory_lets_the_renewal_fail() {
    let recorder = Recorder::start();
    let directory = refusing().replace("http://", "https://") + "/dir";
    let settings = admin::settings(&recorder.url())
        .unset("tls.certificate")
        .unset("tls.key")
        .set("acme.names", r#"["localhost"]"#)
        .set("acme.accept_terms", "true")
        .set("acme.directory", &format!("{directory:?}"))
        .set("acme.state", r#""acme""#);
    let watched = Watched::start(settings);
    watched.wait_for_alert("RenewalFails");
    // The temporary certificate does not last long.
    watched.assert_fired(&["RenewalFails"]);
}

#[test]
fn a_mistake_in_the_settings_lets_the_reload_fail() {
    let recorder = Recorder::start();
    let watched = Watched::start(admin::settings(&recorder.url()));
    fs::write(watched.tidegate.settings.file(), "[server]\nlisten = 5\n").unwrap();
    watched.tidegate.signal(Signal::HUP);
    watched.wait_for_alert("ReloadFailed");
    watched.assert_fired(&["ReloadFailed"]);
}

#[test]
fn a_registry_that_answers_500_causes_errors() {
    let fake = registry(|conversation| {
        conversation.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    });
    let watched = Watched::start(admin::settings(&fake.url()));
    let mut client = Client::connect(&watched.tidegate);
    until(&watched, "Errors", || {
        assert_eq!(client.exchange(BLOB, &[&authorized()]).status, 500);
    });
    watched.assert_fired(&["Errors"]);
}

#[test]
fn a_registry_that_closes_in_the_middle_cuts_transfers() {
    let fake = registry(|conversation| {
        conversation.write(BEGINNING);
        let _ = conversation.close();
    });
    let watched = Watched::start(admin::settings(&fake.url()));
    until(&watched, "CutTransfers", || {
        let answer = Client::connect(&watched.tidegate).exchange(BLOB, &[&authorized()]);
        assert!(answer.status == 200 && !answer.complete);
    });
    watched.assert_fired(&["CutTransfers"]);
}

#[test]
fn wrong_passwords_are_noticed_as_guesses() {
    let recorder = Recorder::start();
    let watched = Watched::start(admin::settings(&recorder.url()));
    let mut client = Client::connect(&watched.tidegate);
    let mut guesses = 0;
    until(&watched, "GuessingPasswords", || {
        guesses += 1;
        let field = format!("Authorization: {}", basic("testuser", &format!("guess{guesses}")));
        let status = client.exchange("GET /v2/", &[&field]).status;
        assert!(status == 401 || status == 429, "{status}");
    });
    watched.assert_fired(&["GuessingPasswords"]);
}

/// Each user comes from a network of their own, because a queue is shared out by network.
#[test]
fn more_logins_than_can_be_checked_fill_the_hash_queue() {
    const QUEUE: usize = 8;
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("auth.hash_threads", "1")
        .set("auth.hash_queue", &QUEUE.to_string());
    // One check takes about a second, so the queue stays full until the alert fires.
    let entry = tidegate::htpasswd(&[("user0", "secret")], 14);
    let users = (0..2 * QUEUE).map(|user| entry.replace("user0", &format!("user{user}")));
    fs::write(settings.path().join("htpasswd"), users.collect::<String>()).unwrap();
    let watched = Watched::start(settings);
    let clients: Vec<Client> = (0..2 * QUEUE)
        .map(|user| {
            let mut client = Client::connect(&watched.tidegate);
            let password = format!("Authorization: {}", basic(&format!("user{user}"), "secret"));
            let address = format!("X-Forwarded-For: 192.0.2.{user}");
            client.send(http1::head("GET /v2/", &[&password, &address]));
            client
        })
        .collect();
    watched.wait_for_alert("HashQueueFull");
    drop(clients);
    watched.assert_fired(&["HashQueueFull"]);
}

#[test]
fn many_open_connections_come_near_the_limit() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url()).set("limits.connections", "32");
    let watched = Watched::start(settings);
    let clients: Vec<Client> = (0..28)
        .map(|_| {
            let mut client = Client::connect(&watched.tidegate);
            assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
            client
        })
        .collect();
    watched.wait_for_alert("ConnectionsNearLimit");
    drop(clients);
    watched.assert_fired(&["ConnectionsNearLimit"]);
}

#[test]
fn open_files_come_near_their_limit() {
    let recorder = Recorder::start();
    let watched = Watched::start(admin::settings(&recorder.url()));
    let open = watched.tidegate.descriptors();
    watched.tidegate.limit_descriptors(open * 9 / 8);
    watched.wait_for_alert("FilesNearLimit");
    watched.assert_fired(&["FilesNearLimit"]);
}

#[test]
fn an_audit_log_on_a_full_disk_loses_lines() {
    let registry = Registry::start();
    let settings = admin::settings(&registry.url()).set("log.audit", r#""/dev/full""#);
    let watched = Watched::start(settings);
    let mut client = Client::connect(&watched.tidegate);
    until(&watched, "AuditLost", || {
        push_tiny(&mut client, &authorized(), "team/app", "latest");
    });
    watched.assert_fired(&["AuditLost"]);
}

#[test]
fn a_tidegate_that_is_killed_again_and_again_is_restarting() {
    let recorder = Recorder::start();
    let mut watched = Watched::start(admin::settings(&recorder.url()));
    let deadline = Instant::now() + DEADLINE;
    while !watched.prometheus.fired().contains("Restarting") {
        assert!(Instant::now() < deadline, "Restarting never fired");
        let before = watched.prometheus.query("process_start_time_seconds")[0].value;
        watched.tidegate.signal(Signal::KILL);
        watched.tidegate.restart();
        watched
            .prometheus
            .wait_for("process_start_time_seconds", |now| now.first().is_some_and(|now| now.value > before));
    }
    assert_eq!(watched.wait_for_alert("Restarting").labels["severity"], "critical");
}

#[test]
fn a_registry_that_stops_in_the_middle_gets_a_transfer_stuck() {
    let fake = registry(|conversation| {
        conversation.write(BEGINNING);
        conversation.wait_for_end();
    });
    let watched = Watched::start(admin::settings(&fake.url()));
    let mut client = Client::connect(&watched.tidegate);
    client.send(http1::head(BLOB, &[&authorized()]));
    assert_eq!(client.head_only().unwrap().0, 200);
    let alert = watched.wait_for_alert("Stuck");
    assert_eq!(alert.labels["operation"], "blob-get");
    watched.assert_fired(&["Stuck"]);
}
