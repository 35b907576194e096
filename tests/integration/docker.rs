//! Docker, podman and skopeo with certificates in `/etc/docker/certs.d`, laid out as their
//! documentation says.

use std::fs;
use std::path::Path;

use crate::harness::client_ca::ClientCa;
use crate::harness::engine::{ADDRESS, Engine};
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;
use crate::harness::tools::{Run, succeed};

/// A Docker engine, and a tidegate that admits only machines with certificates.
struct Setup {
    engine: Engine,
    _registry: Registry,
    client_ca: ClientCa,
    tidegate: Tidegate,
    /// tidegate's host and port.
    host: String,
}

impl Setup {
    fn start() -> Option<Setup> {
        let engine = Engine::start()?;
        let registry = Registry::on_a_socket();
        let settings = engine
            .settings(&registry.url())
            .set("auth.mode", r#""off""#)
            .set("tls.client.verify", r#""required""#)
            .set("tls.client.ca", r#""clients.crt""#);
        let client_ca = ClientCa::new(settings.path());
        client_ca.issue("machine", |_| ());
        client_ca.self_signed("elsewhere");
        let tidegate = Tidegate::start(settings);
        let host = tidegate.address.to_string();
        Some(Setup { engine, _registry: registry, client_ca, tidegate, host })
    }

    /// Lays out certs.d for this host: the server's CA, and pairs of files by name.
    fn lay_out(&self, pairs: &[(&str, &str)]) {
        let folder = self.engine.certificates(&self.host);
        fs::copy(self.client_ca.file("ca.crt"), folder.join("ca.crt")).unwrap();
        for (name, who) in pairs {
            let copy = |from: &str, to: &str| {
                fs::copy(self.client_ca.file(&format!("{who}.{from}")), folder.join(format!("{name}.{to}")))
                    .unwrap();
            };
            copy("crt", "cert");
            copy("key", "key");
        }
    }

    fn image(&self) -> String {
        format!("{}/team/app:one", self.host)
    }

    /// Pulls with each client and returns their output.
    fn pulls(&self) -> [(&str, Run); 3] {
        let image = format!("docker://{}", self.image());
        let (storage, state) = (self.text("storage"), self.text("state"));
        let podman =
            ["--root", &storage, "--runroot", &state, "--storage-driver", "vfs", "--events-backend", "none"];
        let back = format!("dir:{}", self.text("back"));
        [
            ("docker", self.engine.docker(&["pull", &self.image()])),
            ("podman", self.engine.run("podman", &[&podman[..], &["pull", &image]].concat())),
            ("skopeo", self.engine.run("skopeo", &["--insecure-policy", "copy", &image, &back])),
        ]
    }

    fn text(&self, name: &str) -> String {
        self.engine.path().join(name).display().to_string()
    }
}

/// Builds an image of one small file and pushes it.
fn push(setup: &Setup) {
    let root = setup.engine.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("hello"), "hello").unwrap();
    let tar = setup.text("image.tar");
    succeed("tar", &["--create", "--file", &tar, "--directory", root.to_str().unwrap(), "hello"]);
    for arguments in [&["import", &tar, &setup.image()][..], &["push", &setup.image()]] {
        let run = setup.engine.docker(arguments);
        assert!(run.success, "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn clients_pull_with_a_certificate_and_see_the_reason_without_one() {
    let Some(setup) = Setup::start() else { return };
    setup.lay_out(&[("client", "machine")]);
    push(&setup);
    for (client, run) in setup.pulls() {
        assert!(run.success, "{client}: {}", run.stderr);
    }

    setup.lay_out(&[]);
    for (client, run) in setup.pulls() {
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
    setup.lay_out(&[("a", "elsewhere"), ("b", "machine")]);
    for (client, run) in setup.pulls() {
        assert!(run.success, "{client}: {}", run.stderr);
    }
    let users = setup.tidegate.access.so_far();
    assert!(users.iter().any(|line| line.contains(r#""user":"machine""#)), "{users:?}");
}

#[test]
fn the_files_of_cert_client_fit_certs_d_unchanged() {
    let Some(setup) = Setup::start() else { return };
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
    for (client, run) in setup.pulls() {
        assert!(run.success, "{client}: {}", run.stderr);
    }
}

fn replace(folder: &Path, files: &[(&str, &str)]) {
    for (from, to) in files {
        fs::rename(folder.join(from), folder.join(to)).unwrap();
    }
}
