//! The counts of one worker.

use super::cell::{Cell, Counters, Gauge};
use super::histogram::Histogram;
use super::label::{CODES, Direction, Grant, HandshakeFault, Login, LoginResult, Refused, Side, TlsSession};

/// The number of names of operations in the access log, see
/// [`Operation::NAMES`](crate::registry::target::Operation::NAMES).
pub(crate) const OPERATIONS: usize = 17;

/// In milliseconds: a push may take an hour.
const REQUEST: [u64; 12] = [5, 25, 100, 500, 1000, 2500, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000];
/// In milliseconds: OpenTelemetry's bounds for HTTP requests, without 75, 750 and 7,500.
const FIRST_BYTE: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// What one worker has counted. Its thread writes it, every thread may read it.
#[derive(Debug, Default)]
// Two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
pub(crate) struct Counts {
    /// The number of the worker.
    pub worker: usize,
    pub operations: [OfOperation; OPERATIONS],
    pub refusals: Counters<Refused, { Refused::ALL.len() }>,
    /// Those without the questions for a password that every session begins with.
    pub shown_refusals: Cell,
    pub logins: Counters<Login, { Login::ALL.len() }, Counters<LoginResult, { LoginResult::ALL.len() }>>,
    pub tokens_issued: Counters<Grant, { Grant::ALL.len() }>,
    pub transfers: Counters<Direction, { Direction::ALL.len() }, Gauge>,
    pub handshakes: Counters<TlsSession, { TlsSession::ALL.len() }>,
    pub handshake_failures: Counters<HandshakeFault, { HandshakeFault::ALL.len() }>,
}

impl Counts {
    pub(super) fn new(worker: usize) -> Self {
        Self { worker, ..Self::default() }
    }
}

/// The counts of one operation.
#[derive(Debug)]
pub(crate) struct OfOperation {
    pub in_flight: Gauge,
    /// Requests that are over, by [`code`](super::code).
    pub requests: [Cell; CODES],
    pub received: Cell,
    pub sent: Cell,
    pub cut: Counters<Side, { Side::ALL.len() }>,
    pub duration: Histogram<{ REQUEST.len() }>,
    pub first_byte: Histogram<{ FIRST_BYTE.len() }>,
}

impl Default for OfOperation {
    fn default() -> Self {
        Self {
            in_flight: Gauge::default(),
            requests: std::array::from_fn(|_| Cell::default()),
            received: Cell::default(),
            sent: Cell::default(),
            cut: Counters::default(),
            duration: Histogram::new(&REQUEST),
            first_byte: Histogram::new(&FIRST_BYTE),
        }
    }
}
