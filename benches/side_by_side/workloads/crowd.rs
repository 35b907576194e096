//! Many pushes and pulls at once, and their peak memory.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Stage;
use super::push::arrived;
use crate::failure::Outcome;
use crate::http1::{Framing, Http1, Request};
use crate::meter::{Measured, Meter};
use crate::quantity::Quantity;
use crate::target::Reads;
use crate::upstream::{UPLOAD, digest_of_size};
use crate::usage;

const LOOK_EVERY: Duration = Duration::from_millis(50);

pub async fn run(stage: &Stage<'_>) -> Outcome<Measured> {
    let (target, size) = (&stage.front.target, stage.scale.crowd_blob);
    let request = Request::new("GET", &format!("/v2/bench/blobs/{}", digest_of_size(size)), target);
    let before = usage::memory(&stage.front.process)?;
    let mut clients = Vec::new();
    for _ in 0..2 * stage.scale.crowd {
        clients.push(Http1::connect(target, Reads::Bulk).await?);
    }
    let meter = Meter::start(&stage.front.process)?;
    let mut transfers = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let (request, target) = (request.clone(), target.clone());
        transfers.spawn(async move {
            if number % 2 == 0 {
                return client.expect(&request, 200).await?.must_have(size);
            }
            let answer = client.upload("PATCH", UPLOAD, &target, size, Framing::Chunked).await?;
            answer.must_be(202)?;
            arrived(answer.field("range"), size)
        });
    }
    let mut most = before;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            ended = transfers.join_next() => match ended {
                Some(transfer) => transfer??,
                None => break,
            },
            _ = look.tick() => most = most.max(usage::memory(&stage.front.process)?),
        }
    }
    let count = 2 * stage.scale.crowd;
    let mut measured = meter.bytes(size * count as u64)?;
    measured.push((Quantity::BytesPerTransfer, (most - before) as f64 / count as f64));
    Ok(measured)
}
