//! `[limits]`: the limits for one client and for all of them together.

use std::time::Duration;

use super::print::{Printer, quoted};
use super::section::Section;
use super::values::{WAIT, print_duration, print_rate, print_size};

const MOST_CONNECTIONS: usize = 1_000_000;
/// The smallest buffer for a request head that hyper accepts.
const LEAST_HEADER_BYTES: u64 = 8 << 10;
const MOST_HEADER_BYTES: u64 = 1 << 20;
const MOST_HEADERS: usize = 10_000;
const MOST_BYTES: u64 = 1 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections, beyond which none is accepted until one closes. At least one.
    pub connections: usize,
    /// Open client connections from one address; 0 means no limit.
    pub connections_per_ip: usize,
    /// The time from accept to the first request head. Not zero.
    pub handshake_timeout: Duration,
    /// The time for every later request head, and between requests. Not zero.
    pub header_timeout: Duration,
    /// How long a transfer may go without a byte before it is ended. Not zero.
    pub idle_timeout: Duration,
    /// Bytes per second below which a transfer is ended; 0 means no minimum.
    pub min_rate: u64,
    /// Bytes of a request head, from 8 KiB to 1 MiB.
    pub header_bytes: usize,
    /// Fields of a request head. At least one.
    pub headers: usize,
    /// Bytes of a pushed manifest. At least one.
    pub manifest_bytes: u64,
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let connections = section.number("connections", "10000", 1..=MOST_CONNECTIONS);
        let connections_per_ip = section.number("connections_per_ip", "0", 0..=MOST_CONNECTIONS);
        let handshake_timeout = section.duration("handshake_timeout", r#""10s""#, WAIT);
        let header_timeout = section.duration("header_timeout", r#""30s""#, WAIT);
        let idle_timeout = section.duration("idle_timeout", r#""60s""#, WAIT);
        let min_rate = section.rate("min_rate", r#""500B/s""#, MOST_BYTES);
        let header_bytes = section.size("header_bytes", r#""32KiB""#, LEAST_HEADER_BYTES..=MOST_HEADER_BYTES);
        let headers = section.number("headers", "100", 1..=MOST_HEADERS);
        let manifest_bytes = section.size("manifest_bytes", r#""4MiB""#, 1..=MOST_BYTES);
        Some(Self {
            connections: connections?,
            connections_per_ip: connections_per_ip?,
            handshake_timeout: handshake_timeout?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            min_rate: min_rate?,
            header_bytes: usize::try_from(header_bytes?).ok()?,
            headers: headers?,
            manifest_bytes: manifest_bytes?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self {
            connections,
            connections_per_ip,
            handshake_timeout,
            header_timeout,
            idle_timeout,
            min_rate,
            header_bytes,
            headers,
            manifest_bytes,
        } = self;
        to.section("limits");
        to.fixed("connections", connections);
        to.fixed("connections_per_ip", connections_per_ip);
        to.reloaded("handshake_timeout", quoted(print_duration(*handshake_timeout)));
        to.reloaded("header_timeout", quoted(print_duration(*header_timeout)));
        to.reloaded("idle_timeout", quoted(print_duration(*idle_timeout)));
        to.reloaded("min_rate", quoted(print_rate(*min_rate)));
        to.reloaded("header_bytes", quoted(print_size(*header_bytes as u64)));
        to.reloaded("headers", headers);
        to.reloaded("manifest_bytes", quoted(print_size(*manifest_bytes)));
    }
}
