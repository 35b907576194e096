//! The clients people use, in front of a real registry.

use std::fs::{self, File};
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::image::{noise, sha256, write_image};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{self, succeed};

const CREDENTIALS: &str = "testuser:testpass";

struct Setup {
    _registry: Registry,
    tidegate: Tidegate,
}

impl Setup {
    fn start() -> Setup {
        let registry = Registry::start();
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let trust = tidegate.settings.path().join("trust");
        fs::create_dir(&trust).unwrap();
        fs::write(trust.join("ca.crt"), tidegate.settings.authority.pem()).unwrap();
        Setup { _registry: registry, tidegate }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tidegate.settings.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.tidegate.host())
    }
}

#[test]
fn skopeo_pushes_and_pulls() {
    let setup = Setup::start();
    let digest = write_image(&setup.path("image"), "one");
    let trust = setup.text("trust");
    let there = setup.image("team/app:one");
    let oci = format!("oci:{}:one", setup.text("image"));
    succeed(
        "skopeo",
        &["--insecure-policy", "copy", "--dest-creds", CREDENTIALS, "--dest-cert-dir", &trust, &oci, &there],
    );
    let inspected = succeed("skopeo", &["inspect", "--creds", CREDENTIALS, "--cert-dir", &trust, &there]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], digest.as_str());
    let back = format!("oci:{}:one", setup.text("back"));
    succeed(
        "skopeo",
        &["--insecure-policy", "copy", "--src-creds", CREDENTIALS, "--src-cert-dir", &trust, &there, &back],
    );
    for blob in fs::read_dir(setup.path("image/blobs/sha256")).unwrap() {
        let name = blob.unwrap().file_name();
        let bytes =
            fs::read(setup.path("back/blobs/sha256").join(&name)).expect("every blob is in the pulled image");
        assert_eq!(sha256(&bytes), name.to_str().unwrap());
    }
    succeed("skopeo", &["delete", "--creds", CREDENTIALS, "--cert-dir", &trust, &there]);

    let refused = tools::run(
        "skopeo",
        &["inspect", "--creds", "testuser:wrong", "--cert-dir", &trust, &setup.image("team/app:one")],
    );
    assert!(!refused.success);
    assert!(
        refused.stderr.contains("wrong user or password for testuser; log in: docker login localhost"),
        "{}",
        refused.stderr
    );
}

#[test]
fn podman_logs_in_pushes_and_pulls() {
    let setup = Setup::start();
    write_image(&setup.path("image"), "one");
    let folder = setup.text("");
    // Run in the folder, because podman derives a lower-case name from the path of an OCI layout.
    let podman = |command: &str| {
        let storage = format!("--root {folder}storage --runroot {folder}state --storage-driver vfs");
        let command = format!("--chdir {folder} podman {storage} --events-backend none {command}");
        succeed("env", &command.split(' ').collect::<Vec<_>>()).trim().to_owned()
    };
    let (host, there) = (setup.tidegate.host(), setup.image("team/app:one"));
    let trust = "--authfile auth.json --cert-dir trust";
    podman(&format!("login {trust} --username testuser --password testpass {host}"));
    let made = podman("pull --quiet oci:image:one");
    podman(&format!("push --quiet {trust} {made} {there}"));
    podman(&format!("rmi --force {made}"));
    let pulled = podman(&format!("pull --quiet {trust} {there}"));
    assert_eq!(pulled, made, "the pulled image has the same id");
}

/// One upload with curl; `chunked` decides how the body is sent.
fn curl_round_trip(setup: &Setup, protocol: &str, chunked: bool) {
    let blob = noise(3 << 20);
    let (blob_file, ca) = (setup.path("blob"), setup.path("trust/ca.crt"));
    fs::write(&blob_file, &blob).unwrap();
    let digest = format!("sha256:{}", sha256(&blob));
    let base = format!("https://{}/v2/team/blobs", setup.tidegate.host());
    let curl = |arguments: &[&str]| {
        let mut all = vec![
            protocol,
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_version} %{http_code} %header{location}",
        ];
        all.extend(arguments);
        tools::curl(&ca, &all, Some(File::open(&blob_file).unwrap()))
    };
    let version = if protocol == "--http2" { "2" } else { "1.1" };
    let location = |said: String, status: u16| {
        let start = format!("{version} {status} ");
        said.strip_prefix(&start).unwrap_or_else(|| panic!("{said}, not {start}")).to_owned()
    };
    let upload = location(curl(&["--request", "POST", "--data", "", &format!("{base}/uploads/")]), 202);
    let finish = |upload: &str| format!("{upload}&digest={digest}");
    if chunked {
        let octets = "Content-Type: application/octet-stream";
        let upload =
            location(curl(&["--request", "PATCH", "--header", octets, "--upload-file", "-", &upload]), 202);
        location(curl(&["--request", "PUT", "--data", "", &finish(&upload)]), 201);
    } else {
        location(curl(&["--upload-file", blob_file.to_str().unwrap(), &finish(&upload)]), 201);
    }
    let back = setup.text("back");
    let get = [
        "--output",
        &back,
        "--write-out",
        "%{http_version} %{http_code}",
        protocol,
        &format!("{base}/{digest}"),
    ];
    assert_eq!(tools::curl(&ca, &get, None), format!("{version} 200"));
    assert_eq!(format!("sha256:{}", sha256(&fs::read(&back).unwrap())), digest);
}

#[test]
fn curl_uploads_chunked_and_with_a_length_over_both_protocols() {
    let setup = Setup::start();
    for protocol in ["--http1.1", "--http2"] {
        for chunked in [true, false] {
            curl_round_trip(&setup, protocol, chunked);
        }
    }
}
