//! Blobs that clients receive.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Stage;
use crate::blob::Blob;
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::http2::Http2;
use crate::meter::{Measured, Meter};
use crate::probe::Probes;
use crate::target::{Protocol, Reads};
use crate::upstream::digest_of_size;

/// The fraction of a blob to pull before the measurement, so that buffers and windows have grown.
const WARM_UP: u64 = 16;

const PULLS: usize = 8;
/// The interval between two requests of one connection. All together make a hundred requests per
/// second, rarely enough that no connection still waits for its previous answer.
const PROBES: u32 = 8;
const EVERY: Duration = Duration::from_millis(80);

pub async fn one(stage: &Stage<'_>, protocol: Protocol, size: u64) -> Outcome<Measured> {
    let target = &stage.front.target;
    let path = |size| format!("/v2/bench/blobs/{}", digest_of_size(size));
    let warm_up = size / WARM_UP;
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(target, Reads::Bulk).await?;
            client.expect(&Request::new("GET", &path(warm_up), target), 200).await?.must_have(warm_up)?;
            let request = Request::new("GET", &path(size), target);
            let meter = Meter::start(&stage.front.process)?;
            client.expect(&request, 200).await?.must_have(size)?;
            meter.bytes(size)
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(target).await?;
            client.send("GET", &path(warm_up), target, Blob::empty()).await?.must_be(200, warm_up)?;
            let meter = Meter::start(&stage.front.process)?;
            client.send("GET", &path(size), target, Blob::empty()).await?.must_be(200, size)?;
            meter.bytes(size)
        }
    }
}

/// Eight pulls at once, and the latency of a small request beside them.
pub async fn several(stage: &Stage<'_>) -> Outcome<Measured> {
    let target = &stage.front.target;
    let size = stage.scale.several_blob;
    let request = Request::new("GET", &format!("/v2/bench/blobs/{}", digest_of_size(size)), target);
    let head = Request::new("HEAD", "/v2/bench/manifests/latest", target);
    let mut clients = Vec::new();
    for _ in 0..PULLS {
        clients.push(Http1::connect(target, Reads::Bulk).await?);
    }
    let meter = Meter::start(&stage.front.process)?;
    let mut pulls = JoinSet::new();
    for mut client in clients {
        let request = request.clone();
        pulls.spawn(async move { client.expect(&request, 200).await?.must_have(size) });
    }
    let probes = Probes::start(target, &head, PROBES, EVERY);
    while let Some(pull) = pulls.join_next().await {
        pull??;
    }
    let mut measured = meter.bytes(size * PULLS as u64)?;
    measured.extend(probes.finish()?);
    Ok(measured)
}
