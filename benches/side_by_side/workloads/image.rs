//! An image as docker and crane transfer it. docker opens a connection for each request; crane has
//! one HTTP/2 connection.

use std::future::Future;

use tokio::task::JoinSet;

use super::Stage;
use super::push::arrived;
use crate::blob::Blob;
use crate::failure::Outcome;
use crate::http1::{Answer, Framing, Http1, Request};
use crate::http2::Http2;
use crate::meter::{Measured, Meter};
use crate::target::{Reads, Target};
use crate::upstream::{ABSENT, MANIFEST_BYTES, UPLOAD, digest_of_size};

const LAYERS: usize = 8;
const CONFIG_BYTES: u64 = 4 * 1024;
const TAG: &str = "/v2/bench/manifests/latest";
const MEDIA_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// How many layers each program transfers at once.
const DOCKER_PULLS: usize = 3;
const DOCKER_PUSHES: usize = 5;
const CRANE_PULLS: usize = 4;

/// Which program transfers the image, and in which direction.
#[derive(Clone, Copy)]
pub enum Way {
    DockerPull,
    DockerPush,
    CranePull,
}

pub async fn run(stage: &Stage<'_>, way: Way) -> Outcome<Measured> {
    let (target, size, count) = (&stage.front.target, stage.scale.layer, stage.scale.images);
    let meter = Meter::start(&stage.front.process)?;
    for _ in 0..count {
        match way {
            Way::DockerPull => docker_pull(target, size).await?,
            Way::DockerPush => docker_push(target, size).await?,
            Way::CranePull => crane_pull(target, size).await?,
        }
    }
    meter.images(count, (LAYERS * count) as u64 * size)
}

async fn docker_pull(target: &Target, size: u64) -> Outcome<()> {
    once(target, "HEAD", TAG, 200).await?;
    once(target, "GET", &manifest(), 200).await?.must_have(MANIFEST_BYTES)?;
    once(target, "GET", &blob(CONFIG_BYTES), 200).await?.must_have(CONFIG_BYTES)?;
    at_once(DOCKER_PULLS, || {
        let target = target.clone();
        async move {
            let mut client = Http1::connect(&target, Reads::Bulk).await?;
            client.expect(&Request::new("GET", &blob(size), &target), 200).await?.must_have(size)
        }
    })
    .await
}

async fn docker_push(target: &Target, size: u64) -> Outcome<()> {
    at_once(DOCKER_PUSHES, || {
        let target = target.clone();
        async move { upload(&target, size).await }
    })
    .await?;
    upload(target, CONFIG_BYTES).await?;
    let body = "x".repeat(MANIFEST_BYTES as usize);
    let put = Request::with_body("PUT", TAG, target, MEDIA_TYPE, &body);
    Http1::connect(target, Reads::Small).await?.expect(&put, 201).await?;
    Ok(())
}

/// Pushes one blob, which the registry does not have yet.
async fn upload(target: &Target, size: u64) -> Outcome<()> {
    once(target, "HEAD", &format!("/v2/bench/blobs/{ABSENT}"), 404).await?;
    once(target, "POST", "/v2/bench/blobs/uploads/", 202).await?;
    let mut client = Http1::connect(target, Reads::Small).await?;
    let sent = client.upload("PATCH", UPLOAD, target, size, Framing::Chunked).await?;
    sent.must_be(202)?;
    arrived(sent.field("range"), size)?;
    once(target, "PUT", &format!("{UPLOAD}?digest={ABSENT}"), 201).await?;
    Ok(())
}

async fn crane_pull(target: &Target, size: u64) -> Outcome<()> {
    let client = Http2::connect(target).await?;
    let send = |method, path: String| {
        let (mut client, target) = (client.clone(), target.clone());
        async move { client.send(method, &path, &target, Blob::empty()).await }
    };
    send("HEAD", TAG.to_owned()).await?.must_be(200, 0)?;
    send("GET", manifest()).await?.must_be(200, MANIFEST_BYTES)?;
    send("GET", blob(CONFIG_BYTES)).await?.must_be(200, CONFIG_BYTES)?;
    at_once(CRANE_PULLS, || {
        let layer = send("GET", blob(size));
        async move { layer.await?.must_be(200, size) }
    })
    .await
}

/// Makes one request without a body on a connection of its own.
async fn once(target: &Target, method: &str, path: &str, status: u16) -> Outcome<Answer> {
    let fields = if matches!(method, "POST" | "PUT") { "content-length: 0\r\n" } else { "" };
    let request = Request::with_fields(method, path, target, fields);
    Http1::connect(target, Reads::Small).await?.expect(&request, status).await
}

/// Transfers all layers, not more than `limit` at once.
async fn at_once<T>(limit: usize, transfer: impl Fn() -> T) -> Outcome<()>
where
    T: Future<Output = Outcome<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..LAYERS {
        if running.len() == limit
            && let Some(ended) = running.join_next().await
        {
            ended??;
        }
        running.spawn(transfer());
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

fn manifest() -> String {
    format!("/v2/bench/manifests/{}", digest_of_size(MANIFEST_BYTES))
}

fn blob(size: u64) -> String {
    format!("/v2/bench/blobs/{}", digest_of_size(size))
}
