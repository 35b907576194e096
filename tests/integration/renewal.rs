//! Certificates that are replaced while clients connect.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use rustls::client::Resumption;

use crate::harness::authority::Identity;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

/// A client that never resumes a session, so that every connection shows the certificate.
fn client(tidegate: &Tidegate) -> Arc<rustls::ClientConfig> {
    let mut config = Arc::unwrap_or_clone(tidegate.settings.authority.client(&["http/1.1"]));
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn shown(tidegate: &Tidegate) -> String {
    Tls::connect_with(tidegate.address, client(tidegate)).unwrap().peer_name()
}

/// Makes a change, waits for the reload's log line with `word`, and returns all new lines.
fn after(tidegate: &Tidegate, word: &str, change: impl FnOnce()) -> String {
    let start = tidegate.log.len();
    change();
    tidegate.log.wait_after(start, word, |line| line.contains(word));
    tidegate.log.so_far().split_off(start).join("\n")
}

/// The layout of `/etc/letsencrypt`: links in `live` to the version in `archive`.
struct Certbot<'a> {
    folder: &'a Path,
}

impl Certbot<'_> {
    fn archive(&self, version: usize, identity: &Identity) {
        let folder = self.folder.join("archive/localhost");
        fs::create_dir_all(&folder).unwrap();
        identity.write(&folder, "new");
        fs::rename(folder.join("new.key"), folder.join(format!("privkey{version}.pem"))).unwrap();
        fs::rename(folder.join("new.crt"), folder.join(format!("fullchain{version}.pem"))).unwrap();
    }

    /// Replaces a link as certbot does: for a moment, there is none.
    fn link(&self, name: &str, version: usize) {
        let link = self.folder.join("live/localhost").join(format!("{name}.pem"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        symlink(format!("../../archive/localhost/{name}{version}.pem"), link).unwrap();
    }
}

#[test]
fn a_renewal_by_certbot_is_loaded_without_a_signal() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("tls.certificate", r#""live/localhost/fullchain.pem""#)
        .set("tls.key", r#""live/localhost/privkey.pem""#);
    let folder = settings.path().to_owned();
    let certbot = Certbot { folder: &folder };
    let put = |version: usize, identity: &Identity| {
        certbot.archive(version, identity);
        certbot.link("privkey", version);
        certbot.link("fullchain", version);
    };
    put(1, &settings.authority.issue("one"));
    let tidegate = Tidegate::start(settings);
    assert_eq!(shown(&tidegate), "one");

    let told = after(&tidegate, "reloaded cause", || put(2, &tidegate.settings.authority.issue("two")));
    assert_eq!(shown(&tidegate), "two");
    assert!(!told.contains("ERROR"), "{told}");

    // Interrupted after the first of the two links.
    certbot.archive(3, &tidegate.settings.authority.issue("three"));
    let told = after(&tidegate, "not reloaded", || certbot.link("privkey", 3));
    assert!(told.contains("privkey.pem: does not match the certificate in"), "{told}");
    assert_eq!(shown(&tidegate), "two");
    after(&tidegate, "reloaded cause", || certbot.link("fullchain", 3));
    assert_eq!(shown(&tidegate), "three");
}

#[test]
fn a_file_written_in_place_is_loaded_when_it_is_complete() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let next = tidegate.settings.authority.issue("next");
    let (certificate, key) =
        (tidegate.settings.path().join("server.crt"), tidegate.settings.path().join("server.key"));
    for half in [next.certificate.len() / 2, 0] {
        after(&tidegate, "not reloaded", || fs::write(&certificate, &next.certificate[..half]).unwrap());
        assert_eq!(shown(&tidegate), "first");
    }
    after(&tidegate, "not reloaded", || fs::write(&certificate, &next.certificate).unwrap());
    assert_eq!(shown(&tidegate), "first");
    after(&tidegate, "reloaded cause", || fs::write(&key, &next.key).unwrap());
    assert_eq!(shown(&tidegate), "next");
}

/// Makes full handshakes, one after the other, until told to stop. Each proves that certificate and
/// key belong together.
fn connect_on(address: SocketAddr, client: Arc<rustls::ClientConfig>, stop: &AtomicBool, done: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        Tls::connect_with(address, client.clone()).expect("no handshake fails");
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_handshake_fails_while_certificate_and_key_are_replaced_one_after_the_other() {
    const SWAPS: usize = 20;
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let folder = tidegate.settings.path();
    let client = client(&tidegate);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // However the test ends, the clients stop.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let ending = Stop(&stop);
        let connect = || scope.spawn(|| connect_on(tidegate.address, client.clone(), &stop, &done));
        let clients = [connect(), connect()];
        for swap in 0..SWAPS {
            let name = format!("swap {swap}");
            tidegate.settings.authority.issue(&name).write(folder, "next");
            let mut seen_lines = tidegate.log.len();
            fs::rename(folder.join("next.key"), folder.join("server.key")).unwrap();
            if swap % 4 == 0 {
                // A reload that may find one new file, or both.
                tidegate.signal(Signal::HUP);
            }
            fs::rename(folder.join("next.crt"), folder.join("server.crt")).unwrap();
            while shown(&tidegate) != name {
                tidegate.log.wait_after(seen_lines, "a reload", |line| line.contains("reloaded cause"));
                seen_lines = tidegate.log.len();
            }
        }
        drop(ending);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert!(done.load(Ordering::Relaxed) > SWAPS, "no handshakes took place meanwhile");
}
