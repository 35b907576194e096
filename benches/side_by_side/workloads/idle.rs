//! Memory of a connection that has made a request and is now idle.

use std::time::Duration;

use super::Stage;
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::Measured;
use crate::quantity::Quantity;
use crate::target::Reads;
use crate::usage;

/// By then, a proxy has returned the memory that it returns after a request.
const SETTLE: Duration = Duration::from_secs(2);

pub async fn run(stage: &Stage<'_>) -> Outcome<Measured> {
    let target = &stage.front.target;
    let open = Request::new("GET", "/v2/bench/manifests/latest", target);
    let mut clients = Vec::new();
    // Open some connections first, so that one-time allocations are not divided among the others.
    for _ in 0..stage.scale.idle / 20 {
        let mut client = Http1::connect(target, Reads::Small).await?;
        client.expect(&open, 200).await?;
        clients.push(client);
    }
    tokio::time::sleep(SETTLE).await;
    let before = usage::memory(&stage.front.process)?;
    for _ in 0..stage.scale.idle {
        let mut client = Http1::connect(target, Reads::Small).await?;
        client.expect(&open, 200).await?;
        clients.push(client);
    }
    tokio::time::sleep(SETTLE).await;
    let after = usage::memory(&stage.front.process)?;
    // Check that no connection was closed to make room for another.
    for client in &mut clients {
        client.expect(&open, 200).await?;
    }
    let grown = after.saturating_sub(before) as f64;
    Ok(vec![(Quantity::BytesPerConnection, grown / stage.scale.idle as f64)])
}
