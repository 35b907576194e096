//! Small images for tests.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::http1::{self, Client, Response};
use super::tools::succeed;

/// The SHA-256 digest in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `size` bytes that do not compress.
pub fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// Writes an OCI layout with an image of one layer. Returns the digest of its manifest.
pub fn write_image(folder: &Path, tag: &str) -> String {
    let root = folder.join("rootfs");
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    fs::write(root.join("noise"), noise(3 << 20)).unwrap();
    let (tar, root) = (folder.join("layer.tar"), root.to_str().unwrap().to_owned());
    let tar_name = tar.to_str().unwrap().to_owned();
    succeed(
        "tar",
        &["--create", "--file", &tar_name, "--owner=0", "--group=0", "--directory", &root, "noise"],
    );
    let difference = sha256(&fs::read(&tar).unwrap());
    succeed("gzip", &["--no-name", &tar_name]);
    let layer = fs::read(folder.join("layer.tar.gz")).unwrap();

    let put = |bytes: &[u8], kind: &str| {
        let digest = sha256(bytes);
        fs::write(blobs.join(&digest), bytes).unwrap();
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let layer = put(&layer, "application/vnd.oci.image.layer.v1.tar+gzip");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{difference}")]},
        "history": [{"created_by": "a test"}],
    });
    let config = put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer],
    });
    let mut manifest = put(manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    let digest = manifest["digest"].as_str().unwrap().to_owned();
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    digest
}

/// Pushes the smallest possible image, request by request. Returns the digest of its manifest,
/// which is different for each tag.
pub fn push_tiny(client: &mut Client, authorization: &str, repository: &str, tag: &str) -> String {
    let config = b"{}";
    upload(client, authorization, repository, config);
    let (manifest, digest) = tiny_manifest(config, tag);
    let pushed = put_manifest(client, authorization, repository, tag, &manifest);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    digest
}

/// Pushes a blob.
pub fn upload(client: &mut Client, authorization: &str, repository: &str, blob: &[u8]) {
    let begun = client
        .exchange(&format!("POST /v2/{repository}/blobs/uploads/"), &[authorization, "Content-Length: 0"]);
    assert_eq!(begun.status, 202, "{}", begun.text());
    let finished = finish_upload(client, authorization, begun.all("location")[0], blob);
    assert_eq!(finished.status, 201, "{}", finished.text());
}

/// Sends a whole blob to the `location` of an upload.
pub fn finish_upload(client: &mut Client, authorization: &str, location: &str, blob: &[u8]) -> Response {
    let target =
        location.strip_prefix("https://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap();
    let line = format!("PUT {target}&digest=sha256:{}", sha256(blob));
    client.send(http1::head(&line, &[authorization, &format!("Content-Length: {}", blob.len())]));
    client.send(blob);
    client.response(false).unwrap()
}

/// A manifest without layers, and its digest.
pub fn tiny_manifest(config: &[u8], note: &str) -> (Vec<u8>, String) {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
            "digest": format!("sha256:{}", sha256(config)),
        },
        "annotations": {"note": note},
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = format!("sha256:{}", sha256(&bytes));
    (bytes, digest)
}

/// Pushes a manifest under a tag or its digest.
pub fn put_manifest(
    client: &mut Client,
    authorization: &str,
    repository: &str,
    reference: &str,
    manifest: &[u8],
) -> Response {
    let length = format!("Content-Length: {}", manifest.len());
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
    client.send(http1::head(
        &format!("PUT /v2/{repository}/manifests/{reference}"),
        &[authorization, kind, &length],
    ));
    client.send(manifest);
    client.response(false).unwrap()
}
