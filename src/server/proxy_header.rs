//! The header of the PROXY protocol, versions 1 and 2, before the first byte of a connection.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::future::poll_fn;
use std::net::IpAddr;

use bytes::{Buf, BytesMut};
use proxy_header::{Error, ParseConfig, Protocol, ProxiedAddress, ProxyHeader};

use super::meter::Meter;
use crate::metrics::{Counts, HandshakeFault};
use crate::state::Shared;

/// How a header of version 1 begins, and how many bytes it may have.
const TEXT: &[u8] = b"PROXY ";
const LONGEST_TEXT: usize = 107;
/// How a header of version 2 begins. Four bytes follow, and then as many as the last two say.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_PART: usize = BINARY.len() + 4;
/// Most bytes after the fixed part of version 2. Those after the addresses are not read.
const LONGEST_REST: usize = 4096;
/// The command of version 2 for a connection that the sender made by itself.
const LOCAL: u8 = 0x20;
/// How a ClientHello begins: with the type of its record.
const TLS: &[u8] = &[22];

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// A header.
    Header {
        /// Its length in bytes.
        length: usize,
        /// The client that it names. `None` if it names none that speaks TCP over IP: the sender is
        /// the client then, as far as anybody can tell.
        client: Option<IpAddr>,
    },
    /// Never a header that is accepted.
    Rejected(Fault),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The peer is not a trusted proxy.
    #[error("it is not in server.trusted_proxies; if it is a load balancer, add its address")]
    Stranger,
    /// The client speaks TLS at once.
    #[error("it began with TLS and not with a PROXY protocol header; have the load balancer send one")]
    Tls,
    /// The first bytes begin no header.
    #[error("it did not begin with a PROXY protocol header; have the load balancer send one")]
    Missing,
    /// The header cannot be read.
    #[error("its PROXY protocol header is malformed")]
    Malformed,
    /// The header of version 2 is longer than 4 KiB.
    #[error(
        "its PROXY protocol header is longer than {LONGEST_REST} bytes; have the load balancer send fewer fields"
    )]
    TooLong,
    /// The connection ended before the header did.
    #[error("it left in the middle of its PROXY protocol header")]
    Cut,
}

/// Reads the first bytes of a connection. The result for a whole header is the same whatever
/// follows it.
///
/// The specification lets a receiver fall back to the address of the sender for a client of a Unix
/// socket and for one of UDP, as for an unknown one.
pub fn parse(bytes: &[u8]) -> Parsed {
    let begins_like = |header: &[u8]| bytes.iter().zip(header).all(|(byte, expected)| byte == expected);
    if bytes.is_empty() {
        return Parsed::Incomplete;
    }
    if begins_like(TLS) {
        return Parsed::Rejected(Fault::Tls);
    }
    if begins_like(TEXT) {
        let most = &bytes[..bytes.len().min(LONGEST_TEXT)];
        let line = most.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        return decode(line, line.ends_with(b"\n") || line.len() == LONGEST_TEXT);
    }
    if !begins_like(BINARY) {
        return Parsed::Rejected(Fault::Missing);
    }
    let Some(&[command, _, high, low]) = bytes.get(BINARY.len()..FIXED_PART) else {
        return Parsed::Incomplete;
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > LONGEST_REST {
        return Parsed::Rejected(Fault::TooLong);
    }
    let length = FIXED_PART + rest;
    let Some(header) = bytes.get(..length) else { return Parsed::Incomplete };
    if command == LOCAL {
        // Whatever its addresses are, they are to be skipped. The crate rejects some.
        return Parsed::Header { length, client: None };
    }
    decode(header, true)
}

/// Decodes a header. `is_all` says that no more bytes can belong to it.
fn decode(header: &[u8], is_all: bool) -> Parsed {
    match ProxyHeader::parse(header, ParseConfig { include_tlvs: false, ..ParseConfig::default() }) {
        Ok((header, length)) => Parsed::Header { length, client: header.proxied_address().and_then(client) },
        Err(Error::BufferTooShort) if !is_all => Parsed::Incomplete,
        Err(_) => Parsed::Rejected(Fault::Malformed),
    }
}

fn client(addresses: &ProxiedAddress) -> Option<IpAddr> {
    (addresses.protocol == Protocol::Stream).then(|| addresses.source.ip().to_canonical())
}

/// Takes the header off the beginning of a connection. What has arrived after it stays in
/// `received`. Returns the client that the header names, if it names one; `None` if the other side
/// has left before its first byte, as it does when it only tries whether somebody listens.
///
/// # Errors
/// The connection has to be closed.
pub(super) async fn take(meter: &Meter, received: &mut BytesMut) -> Result<Option<Option<IpAddr>>, Fault> {
    loop {
        match parse(received) {
            Parsed::Incomplete => {}
            Parsed::Header { length, client } => {
                received.advance(length);
                return Ok(Some(client));
            }
            Parsed::Rejected(fault) => return Err(fault),
        }
        let is_first = received.is_empty();
        match poll_fn(|cx| meter.poll_read(cx, received)).await {
            Ok(0) | Err(_) if is_first => return Ok(None),
            Ok(0) | Err(_) => return Err(Fault::Cut),
            Ok(_) => {}
        }
    }
}

/// Counts a connection of `peer` that is closed for a fault, in the `counts` of this thread. Logs
/// one for each peer within a minute.
pub(super) fn reject(shared: &Shared, counts: &Counts, peer: IpAddr, fault: Fault) {
    counts.handshake_failures[HandshakeFault::ProxyHeader].add(1);
    if shared.warned_peers.is_due(peer) {
        tracing::warn!(%peer, "server.proxy_protocol: closed a connection of a peer, because {fault}");
    } else {
        tracing::debug!(%peer, %fault, "closed a connection without a PROXY protocol header");
    }
}

#[cfg(test)]
mod tests;
