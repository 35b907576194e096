//! Replicas that share one certificate, behind a balancer that brings the directory to any of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;

use crate::harness::admin::{self, ask};
use crate::harness::pebble::Pebble;
use crate::harness::recorder::Recorder;
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Settings, Tidegate};

/// Settings without `[shared]`.
fn alone(recorder: &Recorder, pebble: &Pebble, state: &Path) -> Settings {
    admin::settings(&recorder.url())
        .unset("tls.certificate")
        .unset("tls.key")
        .set("server.plain", r#"["127.0.0.1:0"]"#)
        .set("server.names", r#"["registry.test"]"#)
        .set("acme.directory", &format!("{:?}", pebble.directory()))
        .set("acme.ca", &format!("{:?}", pebble.ca()))
        .set("acme.names", r#"["registry.test"]"#)
        .set("acme.state", &format!("{state:?}"))
        .set("acme.accept_terms", "true")
}

/// Replicas with a folder each.
fn replicas(
    count: usize,
    (recorder, pebble, engine, folder): (&Recorder, &Pebble, &Redis, &TempDir),
    set: impl Fn(Settings) -> Settings,
) -> Vec<Tidegate> {
    let start = |number: usize| {
        let state = folder.path().join(format!("replica-{number}"));
        Tidegate::start(set(engine.shared_by(alone(recorder, pebble, &state))))
    };
    (0..count).map(start).collect()
}

fn open_to(pebble: &Pebble, replicas: &[Tidegate]) {
    pebble.tls.open_to(replicas.iter().map(|replica| replica.address).collect());
    pebble.http.open_to(replicas.iter().map(Tidegate::plain).collect());
}

fn wait_for_certificate(tidegate: &Tidegate, start: usize) {
    let taken_up = |line: &str| line.contains("reloaded") && line.contains("a new certificate");
    tidegate.log.wait_after(start, "the new certificate in use", taken_up);
}

/// The certificate that is served, if `config` trusts it.
fn shown(address: SocketAddr, config: &Arc<ClientConfig>) -> Option<CertificateDer<'static>> {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let mut config = (**config).clone();
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from("registry.test").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).ok()?;
    }
    Some(connection.peer_certificates().unwrap()[0].clone())
}

fn assert_same_certificate(pebble: &Pebble, replicas: &[Tidegate]) {
    let trusting = pebble.client();
    let shown: Vec<_> = replicas.iter().map(|replica| shown(replica.address, &trusting)).collect();
    assert!(shown[0].is_some() && shown.iter().all(|one| *one == shown[0]));
}

fn is_holder(tidegate: &Tidegate) -> bool {
    ask(tidegate, "GET /metrics", &[]).body.contains("\ntidegate_acme_holder 1\n")
}

fn kill(mut tidegate: Tidegate) {
    tidegate.signal(Signal::KILL);
    tidegate.wait();
}

#[test]
fn replicas_get_one_certificate_whoever_answers_the_directory() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let (recorder, pebble, engine) = (Recorder::start(), Pebble::start(), Redis::start());
        let folder = TempDir::new().unwrap();
        let monitor = engine.monitor();
        let set = |settings: Settings| settings.set("acme.challenge", &format!("{challenge:?}"));
        let replicas = replicas(3, (&recorder, &pebble, &engine, &folder), set);
        open_to(&pebble, &replicas);
        wait_for_certificate(&replicas[0], 0);
        let first = Instant::now();
        for replica in &replicas {
            wait_for_certificate(replica, 0);
        }
        assert!(first.elapsed() < Duration::from_secs(3), "{:?}", first.elapsed());
        assert_same_certificate(&pebble, &replicas);
        assert_eq!(pebble.orders(), 1);
        assert_eq!(replicas.iter().filter(|replica| is_holder(replica)).count(), 1);
        let said = monitor.lines.so_far().join("\n");
        assert!(
            !said.contains("PRIVATE KEY")
                && !said.contains("key_pkcs8")
                && !said.contains("registry.test\\\""),
            "{said}"
        );
    }
}

#[test]
fn another_replica_finishes_the_order_of_one_that_was_killed() {
    let (recorder, pebble, engine) = (Recorder::start(), Pebble::start(), Redis::start());
    let folder = TempDir::new().unwrap();
    let mut replicas = replicas(1, (&recorder, &pebble, &engine, &folder), |settings| settings);
    let holder = replicas.remove(0);
    holder.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    let start = |number: usize| {
        let state = folder.path().join(format!("other-{number}"));
        Tidegate::start(engine.shared_by(alone(&recorder, &pebble, &state)))
    };
    let others = [start(0), start(1)];
    for other in &others {
        // It knows the engine, so it answers the directory.
        admin::wait_for(other, "GET /readyz", |answer| answer.json()["checks"]["shared"] == "ok");
    }
    kill(holder);
    open_to(&pebble, &others);
    let took_over = |line: &str| line.contains("this replica gets the certificates");
    let lapse = Instant::now();
    while others.iter().all(|other| !other.log.so_far().iter().any(|line| took_over(line))) {
        assert!(lapse.elapsed() < Duration::from_secs(40), "nobody takes over");
        std::thread::yield_now();
    }
    for other in &others {
        wait_for_certificate(other, 0);
    }
    assert_same_certificate(&pebble, &others);
    let resumed = |line: &String| line.contains("resuming the order");
    assert!(others.iter().any(|other| other.log.so_far().iter().any(resumed)));
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn a_replica_that_stops_leaves_the_certificates_to_another_at_once() {
    let (recorder, pebble, engine) = (Recorder::start(), Pebble::start(), Redis::start());
    let folder = TempDir::new().unwrap();
    let mut replicas = replicas(2, (&recorder, &pebble, &engine, &folder), |settings| settings);
    open_to(&pebble, &replicas);
    for replica in &replicas {
        wait_for_certificate(replica, 0);
    }
    let holder = replicas.iter().position(is_holder).unwrap();
    let mut holder = replicas.remove(holder);
    holder.signal(Signal::TERM);
    let stopped = Instant::now();
    replicas[0].log.wait_for("the lease", |line| line.contains("this replica gets the certificates"));
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    holder.wait();
}

#[test]
fn a_folder_from_before_is_shared_and_what_the_engine_loses_is_put_there_again() {
    let (recorder, pebble, mut engine) = (Recorder::start(), Pebble::start(), Redis::start());
    let folder = TempDir::new().unwrap();
    let before = folder.path().join("replica-0");
    let tidegate = Tidegate::start(alone(&recorder, &pebble, &before));
    pebble.tls.open(tidegate.address);
    wait_for_certificate(&tidegate, 0);
    kill(tidegate);

    let mut replicas = replicas(2, (&recorder, &pebble, &engine, &folder), |settings| settings);
    wait_for_certificate(&replicas[1], 0);
    assert_same_certificate(&pebble, &replicas);
    for lost in [false, true] {
        if lost {
            engine.kill();
            engine.restart();
        }
        // A folder for a moment, as in a container.
        let state = folder.path().join(format!("new-{lost}"));
        let new = Tidegate::start(engine.shared_by(alone(&recorder, &pebble, &state)));
        wait_for_certificate(&new, 0);
        replicas.push(new);
        assert_same_certificate(&pebble, &replicas);
    }
    assert_eq!(pebble.orders(), 1);
    let accounts = pebble.log.so_far().iter().filter(|line| line.contains("now 1 accounts")).count();
    assert_eq!(accounts, 1);
}

#[test]
fn no_certificate_is_ordered_while_the_engine_is_away() {
    let (recorder, pebble, mut engine) = (Recorder::start(), Pebble::start(), Redis::start());
    let folder = TempDir::new().unwrap();
    let replicas = replicas(1, (&recorder, &pebble, &engine, &folder), |settings| settings);
    open_to(&pebble, &replicas);
    let tidegate = &replicas[0];
    wait_for_certificate(tidegate, 0);

    engine.kill();
    let text = fs::read_to_string(tidegate.settings.file()).unwrap();
    let more = text.replace(r#"names = ["registry.test"]"#, r#"names = ["registry.test", "mirror.test"]"#);
    fs::write(tidegate.settings.file(), more).unwrap();
    let line = tidegate.log.wait_for("the warning", |line| line.contains("no certificate is ordered"));
    assert!(line.contains("WARN"), "{line}");
    assert!(shown(tidegate.address, &pebble.client()).is_some());
    assert_eq!(pebble.orders(), 1);

    let start = tidegate.log.len();
    engine.restart();
    wait_for_certificate(tidegate, start);
    assert_eq!(pebble.orders(), 2);
}

#[test]
fn a_replica_that_loses_the_lease_writes_nothing_more() {
    let (recorder, pebble, engine) = (Recorder::start(), Pebble::start(), Redis::start());
    let folder = TempDir::new().unwrap();
    let replicas = replicas(1, (&recorder, &pebble, &engine, &folder), |settings| settings);
    let tidegate = &replicas[0];
    tidegate.log.wait_for("the answers on offer", |line| line.contains("ready for validation"));
    let lease = engine.cli(&["KEYS", "*:lease"]);
    let held = engine.cli(&["GET", &lease]);
    engine.cli(&["SET", &lease, "another", "PX", "60000"]);
    open_to(&pebble, &replicas);
    tidegate.log.wait_for("the loss", |line| line.contains("another replica may get the certificates"));
    assert!(tidegate.log.so_far().iter().all(|line| !line.contains("certificate issued")));
    assert!(!folder.path().join("replica-0/certificate.pem").exists());
    assert!(!is_holder(tidegate));

    let start = tidegate.log.len();
    engine.cli(&["DEL", &lease]);
    tidegate.log.wait_after(start, "the order", |line| line.contains("resuming the order"));
    wait_for_certificate(tidegate, start);
    assert_eq!((pebble.orders(), engine.cli(&["GET", &lease])), (1, held));
}
