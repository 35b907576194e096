//! New connections with one rejected request each: without a password, no proxy asks the upstream.

use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use tokio::task::JoinSet;

use super::Stage;
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::{Measured, Meter};
use crate::target::{Handshake, Protocol, Reads, Target};

/// The number of clients that connect at the same time.
const CLIENTS: usize = 8;

pub async fn run(stage: &Stage<'_>, how: Handshake) -> Outcome<Measured> {
    let clients: Vec<Target> =
        (0..CLIENTS).map(|_| stage.front.target.anonymous().with_own_tickets()).collect();
    for client in &clients {
        once(client, how).await?;
    }
    let meter = Meter::start(&stage.front.process)?;
    let mut loads = JoinSet::new();
    for client in clients {
        loads.spawn(repeat(client, how, stage.scale.time));
    }
    let (mut count, mut resumed) = (0, 0);
    while let Some(load) = loads.join_next().await {
        let (all, with_ticket) = load??;
        count += all;
        resumed += with_ticket;
    }
    match how {
        Handshake::Full if resumed > 0 => return Err("a full handshake was resumed".into()),
        Handshake::Resumed if resumed < count => {
            return Err(format!("{resumed} of {count} handshakes were resumed").into());
        }
        _ => {}
    }
    meter.handshakes(count)
}

async fn repeat(target: Target, how: Handshake, time: Duration) -> Outcome<(usize, usize)> {
    let began = Instant::now();
    let (mut count, mut resumed) = (0, 0);
    while began.elapsed() < time {
        count += 1;
        resumed += usize::from(once(&target, how).await?);
    }
    Ok((count, resumed))
}

/// Makes one connection and tells whether it resumed a session.
async fn once(target: &Target, how: Handshake) -> Outcome<bool> {
    let connection = target.connect(Protocol::Http1, how, Reads::Small).await?;
    let mut client = Http1::over(connection, Reads::Small)?;
    // The tickets arrive before the answer.
    client.expect(&Request::new("GET", "/v2/", target), 401).await?;
    Ok(client.connection().get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed))
}
