//! Pulls, pushes and small requests through a real registry. The first run pushes the content that
//! later runs pull.

use serde_json::json;

use super::{Stage, gets};
use crate::blob::Blob;
use crate::failure::Outcome;
use crate::http1::{Answer, Framing, Http1, Request};
use crate::meter::{Measured, Meter};
use crate::target::{Reads, Target};

/// The registry reads and writes on the same machine, so more connections would only wait for it.
const CONNECTIONS: usize = 8;
const MANIFEST: &str = "/v2/bench/manifests/latest";
const MEDIA_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub async fn pull(stage: &Stage<'_>) -> Outcome<Measured> {
    let (target, size) = (&stage.front.target, stage.scale.registry_blob);
    let digest = Blob::of_size(size).digest();
    let blob = format!("/v2/bench/blobs/{digest}");
    let mut client = Http1::connect(target, Reads::Bulk).await?;
    if client.send(&Request::new("HEAD", &blob, target)).await?.status == 404 {
        upload(&mut client, target, size, &digest).await?;
    }
    let meter = Meter::start(&stage.front.process)?;
    client.expect(&Request::new("GET", &blob, target), 200).await?.must_have(size)?;
    meter.bytes(size)
}

pub async fn push(stage: &Stage<'_>) -> Outcome<Measured> {
    let (target, size) = (&stage.front.target, stage.scale.registry_blob);
    // Computed beforehand, because it takes as long as the push.
    let digest = Blob::of_size(size).digest();
    let mut client = Http1::connect(target, Reads::Small).await?;
    let meter = Meter::start(&stage.front.process)?;
    upload(&mut client, target, size, &digest).await?;
    meter.bytes(size)
}

pub async fn gets(stage: &Stage<'_>) -> Outcome<Measured> {
    let target = &stage.front.target;
    let mut client = Http1::connect(target, Reads::Small).await?;
    let accept = format!("accept: {MEDIA_TYPE}\r\n");
    let manifest = Request::with_fields("GET", MANIFEST, target, &accept);
    let mut answer = client.send(&manifest).await?;
    if answer.status == 404 {
        put_manifest(&mut client, target).await?;
        answer = client.expect(&manifest, 200).await?;
    }
    gets::repeated(stage, CONNECTIONS, &manifest, answer.bytes).await
}

/// Pushes a blob as docker does: POST, PATCH with the bytes, PUT with the digest.
async fn upload(client: &mut Http1, target: &Target, size: u64, digest: &str) -> Outcome<()> {
    let begun = Request::with_fields("POST", "/v2/bench/blobs/uploads/", target, "content-length: 0\r\n");
    let place = place(&client.expect(&begun, 202).await?)?;
    let sent = client.upload("PATCH", &place, target, size, Framing::Chunked).await?;
    sent.must_be(202)?;
    let place = self::place(&sent)?;
    let separator = if place.contains('?') { '&' } else { '?' };
    let path = format!("{place}{separator}digest={digest}");
    client.expect(&Request::with_fields("PUT", &path, target, "content-length: 0\r\n"), 201).await?;
    Ok(())
}

/// The path and query of `Location`, which a registry may write as an absolute URL.
fn place(answer: &Answer) -> Outcome<String> {
    let location = answer.field("location").ok_or("an upload has no location")?;
    let path = location.find("/v2/").ok_or("an upload is nowhere in the registry")?;
    Ok(location[path..].to_owned())
}

async fn put_manifest(client: &mut Http1, target: &Target) -> Outcome<()> {
    let size = crate::blob::CHUNK as u64;
    let digest = Blob::of_size(size).digest();
    upload(client, target, size, &digest).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json", "size": size, "digest": digest
        },
        "layers": [],
    });
    let put = Request::with_body("PUT", MANIFEST, target, MEDIA_TYPE, &manifest.to_string());
    client.expect(&put, 201).await?;
    Ok(())
}
