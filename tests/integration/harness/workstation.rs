//! A user's machine with docker, podman, skopeo and curl, and a tidegate and a registry to use them
//! with.

use std::fs;

use super::engine::Engine;
use super::image::write_image;
use super::registry::Registry;
use super::tidegate::{Settings, Tidegate};
use super::tools::{Run, succeed};

pub struct Workstation {
    pub engine: Engine,
    pub tidegate: Tidegate,
    /// tidegate's host and port.
    pub host: String,
    _registry: Registry,
}

impl Workstation {
    /// Starts everything, which requires root. Without root, prints a note and returns `None`.
    pub fn start(complete: impl FnOnce(Settings) -> Settings) -> Option<Workstation> {
        let engine = Engine::start()?;
        let registry = Registry::on_a_socket();
        let tidegate = Tidegate::start(complete(engine.settings(&registry.url())));
        let host = tidegate.address.to_string();
        let trust = engine.certificates(&host).join("ca.crt");
        fs::copy(tidegate.settings.path().join("ca.crt"), trust).unwrap();
        write_image(&engine.path().join("image"), "one");
        Some(Workstation { engine, tidegate, host, _registry: registry })
    }

    /// The name of an image, such as `team/app:one`, for docker and containerd.
    pub fn image(&self, image: &str) -> String {
        format!("{}/{image}", self.host)
    }

    /// The same for podman and skopeo.
    pub fn docker_url(&self, image: &str) -> String {
        format!("docker://{}", self.image(image))
    }

    /// The path of a file of the user.
    pub fn text(&self, name: &str) -> String {
        self.engine.path().join(name).display().to_string()
    }

    /// Makes an image of one layer for docker.
    pub fn docker_import(&self, image: &str) {
        let (tar, root) = (self.text("docker.tar"), self.text("image/rootfs"));
        succeed("tar", &["--create", "--file", &tar, "--directory", &root, "noise"]);
        let made = self.engine.docker(&["import", &tar, &self.image(image)]);
        assert!(made.success, "{}", made.stderr);
    }

    pub fn podman(&self, arguments: &[&str]) -> Run {
        let (storage, state) = (self.text("storage"), self.text("state"));
        let own =
            ["--root", &storage, "--runroot", &state, "--storage-driver", "vfs", "--events-backend", "none"];
        let folder = self.engine.path().display().to_string();
        self.engine.run("env", &[&["--chdir", &folder, "podman"], &own[..], arguments].concat())
    }

    /// Pushes an image of one layer with podman and the logins of a file.
    pub fn podman_push(&self, logins: &str, image: &str) -> Run {
        let made = self.podman(&["pull", "--quiet", "oci:image:one"]);
        assert!(made.success, "{}", made.stderr);
        self.podman(&["push", "--authfile", logins, made.stdout.trim(), &self.docker_url(image)])
    }

    pub fn podman_pull(&self, logins: &str, image: &str) -> Run {
        self.podman(&["pull", "--authfile", logins, &self.docker_url(image)])
    }

    /// Pushes an image of one layer with skopeo and the logins of a file.
    pub fn skopeo_push(&self, logins: &str, image: &str) -> Run {
        let from = format!("oci:{}:one", self.text("image"));
        self.skopeo(&["copy", "--authfile", logins, &from, &self.docker_url(image)])
    }

    pub fn skopeo(&self, arguments: &[&str]) -> Run {
        self.engine.run("skopeo", &[&["--insecure-policy"], arguments].concat())
    }

    /// Runs curl, which trusts tidegate's certificate.
    pub fn curl(&self, arguments: &[&str]) -> Run {
        let ca = self.tidegate.settings.path().join("ca.crt").display().to_string();
        self.engine.run("curl", &[&["--silent", "--cacert", &ca], arguments].concat())
    }
}
