//! Docker, podman and skopeo with certificates in `/etc/docker/certs.d`, laid out as their
//! documentation says.

use std::fs;
use std::path::Path;

use crate::harness::client_ca::ClientCa;
use crate::harness::engine::ADDRESS;
use crate::harness::tools::{Run, succeed};
use crate::harness::workstation::Workstation;

const IMAGE: &str = "team/app:one";

/// A tidegate that admits only machines with certificates.
fn start() -> Option<Workstation> {
    Workstation::start(|settings| {
        let client_ca = ClientCa::new(settings.path());
        client_ca.issue("machine", |_| ());
        client_ca.self_signed("elsewhere");
        settings
            .set("auth.mode", r#""off""#)
            .set("tls.client.verify", r#""required""#)
            .set("tls.client.ca", r#""clients.crt""#)
    })
}

/// Lays out certs.d for this host: the server's CA, and pairs of files by name.
fn lay_out(setup: &Workstation, pairs: &[(&str, &str)]) {
    let (folder, there) = (setup.tidegate.settings.path(), setup.engine.certificates(&setup.host));
    let copy = |from: &str, to: &str| fs::copy(folder.join(from), there.join(to)).unwrap();
    copy("ca.crt", "ca.crt");
    for (name, who) in pairs {
        copy(&format!("{who}.crt"), &format!("{name}.cert"));
        copy(&format!("{who}.key"), &format!("{name}.key"));
    }
}

/// Pulls with each client and returns their output.
fn pulls(setup: &Workstation) -> [(&str, Run); 3] {
    let (image, back) = (setup.docker_url(IMAGE), format!("dir:{}", setup.text("back")));
    [
        ("docker", setup.engine.docker(&["pull", &setup.image(IMAGE)])),
        ("podman", setup.podman(&["pull", &image])),
        ("skopeo", setup.skopeo(&["copy", &image, &back])),
    ]
}

/// Makes an image and pushes it.
fn push(setup: &Workstation) {
    setup.docker_import(IMAGE);
    let run = setup.engine.docker(&["push", &setup.image(IMAGE)]);
    assert!(run.success, "{}", run.stderr);
}

#[test]
fn clients_pull_with_a_certificate_and_see_the_reason_without_one() {
    let Some(setup) = start() else { return };
    lay_out(&setup, &[("client", "machine")]);
    push(&setup);
    for (client, run) in pulls(&setup) {
        assert!(run.success, "{client}: {}", run.stderr);
    }

    lay_out(&setup, &[]);
    for (client, run) in pulls(&setup) {
        assert!(!run.success, "{client}");
        // These two do not show the body when their first request is refused.
        let readable = match client {
            "docker" => "denied: a valid client certificate of an accepted CA is required",
            _ => "403 (Forbidden)",
        };
        assert!(run.stderr.contains(readable), "{client}: {}", run.stderr);
    }

    // The first pair by name is from another CA and useless here: the client picks a certificate by
    // the names of the CAs.
    lay_out(&setup, &[("a", "elsewhere"), ("b", "machine")]);
    for (client, run) in pulls(&setup) {
        assert!(run.success, "{client}: {}", run.stderr);
    }
    setup.tidegate.access.wait_for("the certificate's user", |line| line.contains(r#""user":"machine""#));
}

#[test]
fn the_files_of_cert_client_fit_certs_d_unchanged() {
    let Some(setup) = start() else { return };
    let folder = setup.tidegate.settings.path();
    let tidegate = |arguments: &[&str]| succeed(env!("CARGO_BIN_EXE_tidegate"), arguments);
    let at = |name: &str| folder.join(name).display().to_string();
    tidegate(&["cert", "ca", "--crl", "--out", &at("ca")]);
    tidegate(&["cert", "server", "--ca", &at("ca"), "--out", &at("certs"), ADDRESS]);
    tidegate(&["cert", "client", "--ca", &at("ca"), "--out", &at("build1"), "build1"]);
    let start = setup.tidegate.log.len();
    replace(
        folder,
        &[
            ("ca/ca.crt", "clients.crt"),
            ("certs/domain.crt", "server.crt"),
            ("certs/domain.key", "server.key"),
        ],
    );
    setup.tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    let certificates = setup.engine.certificates(&setup.host);
    for file in fs::read_dir(folder.join("build1")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), certificates.join(file.file_name())).unwrap();
    }
    push(&setup);
    for (client, run) in pulls(&setup) {
        assert!(run.success, "{client}: {}", run.stderr);
    }
}

fn replace(folder: &Path, files: &[(&str, &str)]) {
    for (from, to) in files {
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    }
}
