//! The beginning of a connection: the header of the PROXY protocol where there is one, then TLS.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::pin::pin;
use std::rc::Rc;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use super::accepted::Accepted;
use super::meter::Meter;
use super::phase::Phase;
use super::proxy_header;
use super::session::FIRST_READ;
use super::slots::Slot;
use super::stream::Stream;
use super::worker::Worker;
use crate::gate::Peer;
use crate::header::forwarded;
use crate::metrics::HandshakeFault;
use crate::state::State;

/// A connection after its handshake.
pub(super) struct Greeted {
    pub(super) client: Stream,
    pub(super) peer: Peer,
    pub(super) slot: Slot,
}

/// Does the handshake of a connection until `deadline`. `None` if there is none: the connection is
/// closed, and its fault is counted.
pub(super) async fn greet(
    worker: &Worker,
    accepted: Accepted,
    state: &State,
    deadline: Instant,
) -> Option<Greeted> {
    let Accepted { socket, peer, mut slot, has_header } = accepted;
    let meter = open(socket).inspect_err(|error| fail(worker, peer, error)).ok()?;
    let mut records = BytesMut::with_capacity(FIRST_READ);
    let (client, may_forward) = if has_header {
        let named = named(worker, &meter, &mut records, &mut slot, peer, state, deadline);
        let named = Box::pin(named).await?;
        (named.unwrap_or(peer), named.is_some())
    } else {
        (peer, true)
    };
    let handshake = Stream::accept(meter, records, &state.tls);
    let (stream, asked) = within(worker, &slot, client, deadline, handshake)
        .await?
        .inspect_err(|error| fail(worker, client, error))
        .ok()?;
    let tls = stream.kind();
    worker.counts.handshakes[tls].add(1);
    let shown = stream.presented_certificate().map(Box::new);
    let peer = Peer {
        address: peer,
        client,
        may_forward,
        tls,
        asked,
        shown,
        polls: Cell::default(),
        proof: RefCell::default(),
        name_alone: RefCell::default(),
    };
    Some(Greeted { client: stream, peer, slot })
}

fn open(socket: TcpStream) -> io::Result<Rc<Meter>> {
    Ok(Rc::new(Meter::new(tokio::net::TcpStream::from_std(socket)?)))
}

/// The client that the load balancer at `peer` names, if it names one. The connection then counts
/// for the network of that client. `None` if the connection ends here.
async fn named(
    worker: &Worker,
    meter: &Meter,
    records: &mut BytesMut,
    slot: &mut Slot,
    peer: IpAddr,
    state: &State,
    deadline: Instant,
) -> Option<Option<IpAddr>> {
    let named = match within(worker, slot, peer, deadline, proxy_header::take(meter, records)).await? {
        Ok(named) => named?,
        Err(fault) => {
            proxy_header::reject(&worker.gate.shared, &worker.counts, peer, fault);
            return None;
        }
    };
    let trusted = &state.config.server.trusted_proxies;
    if let Some(client) = named.filter(|&client| !forwarded::is_trusted(client, trusted)) {
        if !slot.move_to(client) {
            tracing::debug!(peer = %client, "too many connections of this network");
            return None;
        }
    } else if records.is_empty() {
        // The balancer itself, which may do no more than to see that somebody listens.
        let first = poll_fn(|cx| meter.poll_read(cx, records));
        within(worker, slot, peer, deadline, first).await?.ok().filter(|&read| read > 0)?;
    }
    Some(named)
}

/// Waits for a step of the handshake. `None` if it is not done by `deadline`, or if the connection
/// has to end before.
async fn within<S: Future>(
    worker: &Worker,
    slot: &Slot,
    peer: IpAddr,
    deadline: Instant,
    step: S,
) -> Option<S::Output> {
    // Dropped at the end: the connection closes after it was counted.
    let mut step = pin!(step);
    tokio::select! {
        done = timeout_at(deadline, step.as_mut()) => match done {
            Ok(done) => return Some(done),
            Err(_elapsed) => {
                worker.counts.handshake_failures[HandshakeFault::Timeout].add(1);
                tracing::debug!(%peer, "no TLS handshake within limits.handshake_timeout");
            }
        },
        () = slot.asked_to_leave() => tracing::debug!(%peer, "no TLS handshake while others wait"),
        () = worker.reached(Phase::Closing) => {}
    }
    None
}

fn fail(worker: &Worker, peer: IpAddr, error: &io::Error) {
    worker.counts.handshake_failures[fault(error)].add(1);
    tracing::debug!(%peer, %error, "no TLS handshake");
}

/// What a failed handshake counts as. Clients that do not trust our certificate say so.
fn fault(error: &io::Error) -> HandshakeFault {
    use rustls::{AlertDescription as A, Error};
    match error.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(Error::AlertReceived(
            A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA,
        )) => HandshakeFault::Certificate,
        Some(_) => HandshakeFault::Protocol,
        None if error.kind() == io::ErrorKind::InvalidData => HandshakeFault::Protocol,
        None => HandshakeFault::Closed,
    }
}
