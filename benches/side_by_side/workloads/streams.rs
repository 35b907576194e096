//! Small requests, a hundred at a time on one HTTP/2 connection.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Stage;
use crate::blob::Blob;
use crate::failure::Outcome;
use crate::http2::Http2;
use crate::meter::{Measured, Meter};
use crate::target::Target;
use crate::upstream::MANIFEST_BYTES;

const STREAMS: usize = 100;

pub async fn run(stage: &Stage<'_>) -> Outcome<Measured> {
    let target = &stage.front.target;
    let client = Http2::connect(target).await?;
    let meter = Meter::start(&stage.front.process)?;
    let mut loads = JoinSet::new();
    for _ in 0..STREAMS {
        loads.spawn(repeat(client.clone(), target.clone(), stage.scale.time));
    }
    let mut count = 0;
    while let Some(load) = loads.join_next().await {
        count += load??;
    }
    meter.requests(count)
}

async fn repeat(mut client: Http2, target: Target, time: Duration) -> Outcome<usize> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        let answer = client.send("GET", "/v2/bench/manifests/latest", &target, Blob::empty()).await?;
        answer.must_be(200, MANIFEST_BYTES)?;
        count += 1;
    }
    Ok(count)
}
