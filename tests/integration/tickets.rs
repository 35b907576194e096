//! Session resumption after a reload, and at another replica.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::openssl::talk;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::tools::succeed;

/// Sends one request with `openssl s_client`, offering the session in `from` and writing the new
/// one to `to`. Returns whether the session was resumed.
pub fn resumes(tidegate: &Tidegate, version: &str, from: Option<&Path>, to: Option<&Path>) -> bool {
    let mut options = vec![version];
    for (option, file) in [("-sess_in", from), ("-sess_out", to)] {
        options.extend(file.into_iter().flat_map(|file| [option, file.to_str().unwrap()]));
    }
    talk(tidegate, &options).contains("Reused, TLSv1")
}

fn write_secret(folder: &Path) {
    let file = folder.join("tickets");
    fs::write(&file, succeed("openssl", &["rand", "-base64", "48"])).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
}

/// The same settings, certificate and CA in another folder.
fn replica(of: &Settings, upstream: &str) -> Settings {
    let replica = Settings::for_upstream(upstream);
    for file in ["server.crt", "server.key", "ca.crt"] {
        fs::copy(of.path().join(file), replica.path().join(file)).unwrap();
    }
    replica
}

#[test]
fn a_session_is_resumed_only_at_replicas_with_the_same_secret() {
    let recorder = Recorder::start();
    let first = Settings::for_upstream(&recorder.url());
    let (second, third) = (replica(&first, &recorder.url()), replica(&first, &recorder.url()));
    write_secret(first.path());
    fs::copy(first.path().join("tickets"), second.path().join("tickets")).unwrap();
    let with_secret = |settings: Settings| Tidegate::start(settings.set("tls.ticket_keys", r#""tickets""#));
    let (first, second, third) = (with_secret(first), with_secret(second), Tidegate::start(third));
    for version in ["-tls1_2", "-tls1_3"] {
        let session = first.settings.path().join("session");
        assert!(!resumes(&first, version, None, Some(&session)));
        for (other, expected) in [(&first, true), (&second, true), (&third, false)] {
            assert_eq!(resumes(other, version, Some(&session), None), expected, "{version}");
        }
    }
}

#[test]
fn a_session_survives_a_reload_and_ends_with_the_secret() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("tls.ticket_keys", r#""tickets""#);
    write_secret(settings.path());
    let tidegate = Tidegate::start(settings);
    let session = tidegate.settings.path().join("session");
    resumes(&tidegate, "-tls1_3", None, Some(&session));
    let reload = |change: &dyn Fn()| {
        let start = tidegate.log.len();
        change();
        tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded cause"));
    };
    reload(&|| tidegate.settings.write_users(&[("other", "secret")]));
    assert!(resumes(&tidegate, "-tls1_3", Some(&session), None));
    reload(&|| write_secret(tidegate.settings.path()));
    assert!(!resumes(&tidegate, "-tls1_3", Some(&session), None));
}

#[test]
fn a_client_has_its_ticket_before_it_sends_a_request() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let mut client = Tls::connect(&tidegate, "http/1.1");
    assert_eq!(client.socket().peek(&mut [0]).unwrap(), 1);
    assert!(!client.has_news());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let settings = Settings::for_upstream("http://127.0.0.1:1").set("tls.ticket_keys", r#""tickets""#);
    write_secret(settings.path());
    fs::set_permissions(settings.path().join("tickets"), Permissions::from_mode(0o644)).unwrap();
    let refusal = settings.refused();
    assert_eq!(refusal.code, 78);
    let told = &refusal.output[0];
    assert!(told.contains("tickets: is a secret that every user of this machine can use"), "{told}");
}
