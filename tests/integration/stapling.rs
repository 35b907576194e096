//! Stapled OCSP responses, made and checked by openssl.

use std::fs;
use std::path::Path;

use crate::harness::openssl::talk;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{run, succeed};

/// Makes the CA's OCSP response for `server.crt`: `V` for valid, `R` for revoked.
fn response(settings: &Settings, status: char) -> Vec<u8> {
    let at = |name: &str| settings.path().join(name).display().to_string();
    fs::write(at("ca.crt"), settings.authority.pem()).unwrap();
    fs::write(at("ca.key"), settings.authority.key_pem()).unwrap();
    let serial = succeed("openssl", &["x509", "-noout", "-serial", "-in", &at("server.crt")]);
    let serial = serial.trim().trim_start_matches("serial=");
    let revoked = if status == 'R' { "250101000000Z" } else { "" };
    fs::write(at("index"), format!("{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=any\n"))
        .unwrap();
    let (ca, key) = (at("ca.crt"), at("ca.key"));
    let mut arguments = vec!["ocsp", "-noverify", "-ndays", "1"];
    let (index, server, out) = (at("index"), at("server.crt"), at("response"));
    arguments.extend(["-index", &index, "-CA", &ca, "-issuer", &ca, "-rsigner", &ca, "-rkey", &key]);
    arguments.extend(["-cert", &server, "-respout", &out]);
    let run = run("openssl", &arguments);
    assert!(run.success, "{}\n{}", run.stdout, run.stderr);
    fs::read(out).unwrap()
}

/// Whether a client that asks for a response gets one that it can verify.
fn is_stapled(tidegate: &Tidegate, version: &str) -> bool {
    let said = talk(tidegate, &[version, "-status"]);
    if said.contains("OCSP response: no response sent") {
        return false;
    }
    assert!(said.contains("OCSP Response Status: successful"), "{said}");
    assert!(said.contains("Cert Status: good"), "{said}");
    true
}

fn staple(folder: &Path) -> std::path::PathBuf {
    folder.join("server.crt.ocsp")
}

#[test]
fn a_response_beside_the_certificate_is_stapled_for_clients_that_ask() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    fs::write(staple(settings.path()), response(&settings, 'V')).unwrap();
    let tidegate = Tidegate::start(settings);
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(is_stapled(&tidegate, version), "{version}");
        assert!(!talk(&tidegate, &[version]).contains("OCSP Response"), "not asked for");
    }
    assert_eq!(tidegate.log.so_far().iter().filter(|line| line.contains("WARN")).count(), 0);
}

#[test]
fn a_response_may_appear_and_disappear_while_tidegate_runs() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let folder = tidegate.settings.path();
    let after = |change: &dyn Fn()| {
        let start = tidegate.log.len();
        change();
        tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded cause"));
        tidegate.log.so_far().split_off(start).join("\n")
    };
    assert!(!is_stapled(&tidegate, "-tls1_3"));
    let good = response(&tidegate.settings, 'V');
    after(&|| fs::write(staple(folder), &good).unwrap());
    assert!(is_stapled(&tidegate, "-tls1_3"));

    let revoked = response(&tidegate.settings, 'R');
    let told = after(&|| fs::write(staple(folder), &revoked).unwrap());
    assert!(told.contains("server.crt.ocsp: says that the certificate has been revoked;"), "{told}");
    assert!(!is_stapled(&tidegate, "-tls1_3"));

    after(&|| fs::write(staple(folder), &good).unwrap());
    assert!(is_stapled(&tidegate, "-tls1_3"));
    // This response is about the previous certificate.
    let told = after(&|| tidegate.settings.authority.issue("second").write(folder, "server"));
    assert!(told.contains("server.crt.ocsp: is about another certificate;"), "{told}");
    assert!(!is_stapled(&tidegate, "-tls1_3"));

    let told = after(&|| fs::remove_file(staple(folder)).unwrap());
    assert!(!told.contains("ocsp"), "{told}");
}
