//! Small requests on kept-alive connections.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Stage;
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::{Measured, Meter};
use crate::target::{Reads, Target};
use crate::upstream::MANIFEST_BYTES;

/// Requests one manifest repeatedly.
pub async fn manifests(stage: &Stage<'_>, connections: usize) -> Outcome<Measured> {
    let target = &stage.front.target;
    let request = Request::new("GET", "/v2/bench/manifests/latest", target);
    repeated(stage, connections, &request, MANIFEST_BYTES).await
}

/// Repeats one request on each connection. Every answer must be a 200 of this size.
pub async fn repeated(
    stage: &Stage<'_>,
    connections: usize,
    request: &Request,
    bytes: u64,
) -> Outcome<Measured> {
    let target = &stage.front.target;
    // Connect all at once: while strangers guess, some proxies take a second for each connection.
    let mut connecting = JoinSet::new();
    for _ in 0..connections {
        let target = target.clone();
        connecting.spawn(async move { Http1::connect(&target, Reads::Small).await });
    }
    let mut clients = Vec::new();
    while let Some(client) = connecting.join_next().await {
        clients.push(client??);
    }
    let meter = Meter::start(&stage.front.process)?;
    let mut loads = JoinSet::new();
    for client in clients {
        loads.spawn(repeat(client, target.clone(), request.clone(), bytes, stage.scale.time));
    }
    let mut count = 0;
    while let Some(load) = loads.join_next().await {
        count += load??;
    }
    meter.requests(count)
}

async fn repeat(
    mut client: Http1,
    target: Target,
    request: Request,
    bytes: u64,
    time: Duration,
) -> Outcome<usize> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        let answer = client.expect(&request, 200).await?;
        answer.must_have(bytes)?;
        count += 1;
        if answer.closes {
            client = Http1::connect(&target, Reads::Small).await?;
        }
    }
    Ok(count)
}
