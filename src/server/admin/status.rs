//! What the status page and `tidegate top` show.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;

use super::readiness::Ready;
use crate::acme;
use crate::engine::{Engine, Standing};
use crate::gate::{RecentRefusal, RunningTransfer};
use crate::log::rfc_3339;
use crate::metrics::{Metrics, OfOperation, code};
use crate::pki::ServedCertificate;
use crate::server::exposition::REVISION;
use crate::server::report::Report;
use crate::server::slots::Slots;
use crate::state::{Shared, State};
use crate::upstream::{Server, Usage};

/// Slots of the chart: an hour.
const SLOTS: usize = 360;
/// Most transfers and refusals that are shown.
const TRANSFERS: usize = 200;
const REFUSALS: usize = 50;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// What the process has done in the last hour, in slots of ten seconds, the oldest first.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chart {
    /// In seconds.
    interval: u64,
    received: VecDeque<u64>,
    sent: VecDeque<u64>,
    requests: VecDeque<u64>,
    #[serde(skip)]
    before: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    received: u64,
    sent: u64,
    requests: u64,
}

impl Totals {
    fn of(metrics: &Metrics) -> Self {
        let sum =
            |count: fn(&OfOperation) -> u64| metrics.sum(|worker| worker.operations.iter().map(count).sum());
        Self {
            received: sum(|operation| operation.received.get()),
            sent: sum(|operation| operation.sent.get()),
            requests: sum(|operation| operation.requests.iter().map(|count| count.get()).sum()),
        }
    }
}

impl Chart {
    /// The time of one slot.
    pub(super) const INTERVAL: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        let slots = || VecDeque::with_capacity(SLOTS);
        let before = Totals::default();
        Self {
            interval: Self::INTERVAL.as_secs(),
            received: slots(),
            sent: slots(),
            requests: slots(),
            before,
        }
    }

    /// Ends a slot; to be called every [`Chart::INTERVAL`].
    pub(super) fn end_slot(&mut self, metrics: &Metrics) {
        let now = Totals::of(metrics);
        let before = std::mem::replace(&mut self.before, now);
        for (slots, moved) in [
            (&mut self.received, now.received - before.received),
            (&mut self.sent, now.sent - before.sent),
            (&mut self.requests, now.requests - before.requests),
        ] {
            if slots.len() == SLOTS {
                slots.pop_front();
            }
            slots.push_back(moved);
        }
    }
}

/// What a status is made of.
pub(super) struct Sources<'a> {
    pub(super) shared: &'a Shared,
    pub(super) slots: &'a Slots,
    pub(super) started: SystemTime,
    /// The name of the host.
    pub(super) node: &'a str,
    pub(super) ready: Ready,
    pub(super) reports: &'a [Report],
    /// Left out where it was shown already.
    pub(super) chart: Option<&'a Chart>,
}

impl Sources<'_> {
    /// The status as JSON.
    pub(super) fn json(self) -> Vec<u8> {
        let Self { shared, slots, started, node, ready, reports, chart } = self;
        let state = shared.state().clone();
        let metrics = &shared.metrics;
        let now = SystemTime::now();
        let (open, limit) = slots.open();
        let work = shared.verifier.done();
        let status = Status {
            time: rfc_3339(now),
            started: rfc_3339(started),
            uptime: now.duration_since(started).unwrap_or_default().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
            revision: REVISION,
            node,
            draining: ready.checks.draining,
            ready,
            connections: Connections { open, limit },
            requests: requests(metrics),
            bytes: bytes(metrics),
            passwords: Passwords { queue: work.queued, queue_limit: work.queue_limit },
            lost_lines: LostLines { access: shared.access_log.lost(), audit: shared.audit_log.lost() },
            transfers: transfers(reports),
            transfers_total: reports.iter().map(|report| report.running).sum(),
            chart,
            upstreams: state.routes.servers().iter().map(|server| upstream(server)).collect(),
            certificates: certificates(&state),
            acme: state.config.acme.as_ref().and_then(acme::standing).map(|known| Acme {
                last_attempt_successful: known.succeeded,
                next_attempt: rfc_3339(known.next.into()),
            }),
            shared: shared.engine.as_ref().map(engine),
            refusals: refusals(reports),
            settings: settings(shared, &state),
        };
        serde_json::to_vec(&status).unwrap_or_default()
    }
}

fn requests(metrics: &Metrics) -> Requests {
    let class = |class: u8| {
        let of_class = |operation: &OfOperation| {
            let codes = code::NAMES.iter().zip(&operation.requests);
            codes.filter(|(name, _)| name.as_bytes()[0] == class).map(|(_, count)| count.get()).sum::<u64>()
        };
        metrics.sum(|worker| worker.operations.iter().map(of_class).sum())
    };
    let running = metrics.workers().iter().flat_map(|worker| &worker.operations);
    Requests {
        running: running.map(|operation| operation.in_flight.get()).sum(),
        total: Totals::of(metrics).requests,
        client_errors: class(b'4'),
        server_errors: class(b'5'),
        refused: metrics.sum(|worker| worker.shown_refusals.get()),
    }
}

fn bytes(metrics: &Metrics) -> Bytes {
    let Totals { received, sent, .. } = Totals::of(metrics);
    Bytes { received, sent }
}

/// Those of all workers, the longest running first.
fn transfers(reports: &[Report]) -> Vec<RunningTransfer> {
    let mut transfers: Vec<_> = reports.iter().flat_map(|report| report.transfers.iter().cloned()).collect();
    transfers.sort_by(|one, other| other.age.total_cmp(&one.age));
    transfers.truncate(TRANSFERS);
    transfers
}

/// Those of all workers, the latest first.
fn refusals(reports: &[Report]) -> Vec<RecentRefusal> {
    let mut refusals: Vec<_> = reports.iter().flat_map(|report| report.refusals.iter().cloned()).collect();
    // RFC 3339 in UTC sorts as text.
    refusals.sort_by(|one, other| other.time.cmp(&one.time));
    refusals.truncate(REFUSALS);
    refusals
}

fn upstream(server: &Server) -> Upstream {
    let known = server.standing();
    Upstream {
        name: server.name.to_string(),
        up: known.as_ref().map(|known| known.up),
        since: known.as_ref().map(|known| rfc_3339(known.since.into())),
        active: server.connections(Usage::Active),
        idle: server.connections(Usage::Idle),
        error: known.and_then(|known| known.fault.as_ref().map(|fault| fault.brief.clone())),
    }
}

fn certificates(state: &State) -> Vec<Certificate> {
    let renewed_by = if state.config.acme.is_some() { "acme" } else { "operator" };
    let shown = |certificate: &ServedCertificate| {
        let facts = &certificate.facts;
        Certificate {
            names: facts.names().collect(),
            not_after: rfc_3339(facts.not_after.into()),
            days: (facts.not_after - OffsetDateTime::now_utc()).as_seconds_f64() / DAY,
            temporary: acme::is_temporary(certificate),
            renewed_by,
        }
    };
    state.tls.certificates.iter().map(shown).collect()
}

fn engine(engine: &Engine) -> Engaged {
    let Standing { is_up, since, last_error } = engine.standing();
    Engaged { up: is_up, since: rfc_3339(since), error: last_error.filter(|_| !is_up) }
}

fn settings(shared: &Shared, state: &State) -> Settings {
    let reloads = &shared.reloads;
    Settings {
        file: state.config.path.display().to_string(),
        loaded: rfc_3339(reloads.loaded()),
        last_reload: reloads.last().map(|last| LastReload {
            time: rfc_3339(last.time),
            cause: last.cause.as_str(),
            ok: last.error.is_none(),
            error: last.error,
        }),
        warnings: state.warnings.iter().map(ToString::to_string).collect(),
    }
}

/// The state of the process at one moment. No field may hold a secret.
#[derive(Serialize)]
struct Status<'a> {
    time: String,
    started: String,
    /// In seconds.
    uptime: f64,
    version: &'static str,
    revision: &'static str,
    node: &'a str,
    #[serde(flatten)]
    ready: Ready,
    draining: bool,
    connections: Connections,
    requests: Requests,
    bytes: Bytes,
    passwords: Passwords,
    lost_lines: LostLines,
    transfers: Vec<RunningTransfer>,
    transfers_total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    chart: Option<&'a Chart>,
    upstreams: Vec<Upstream>,
    certificates: Vec<Certificate>,
    acme: Option<Acme>,
    /// The engine of the shared state; `None` if nothing is shared.
    shared: Option<Engaged>,
    refusals: Vec<RecentRefusal>,
    settings: Settings,
}

#[derive(Serialize)]
struct Connections {
    open: usize,
    limit: usize,
}

#[derive(Serialize)]
struct Requests {
    running: i64,
    total: u64,
    client_errors: u64,
    server_errors: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Bytes {
    received: u64,
    sent: u64,
}

#[derive(Serialize)]
struct Passwords {
    queue: usize,
    queue_limit: usize,
}

#[derive(Serialize)]
struct LostLines {
    access: u64,
    audit: u64,
}

#[derive(Serialize)]
struct Upstream {
    name: String,
    /// `None` until it was asked.
    up: Option<bool>,
    since: Option<String>,
    active: i64,
    idle: i64,
    error: Option<String>,
}

#[derive(Serialize)]
struct Certificate {
    names: Vec<String>,
    not_after: String,
    /// Until `not_after`; negative afterwards.
    days: f64,
    temporary: bool,
    renewed_by: &'static str,
}

#[derive(Serialize)]
struct Acme {
    last_attempt_successful: bool,
    next_attempt: String,
}

#[derive(Serialize)]
struct Engaged {
    up: bool,
    since: String,
    error: Option<String>,
}

#[derive(Serialize)]
struct Settings {
    file: String,
    loaded: String,
    last_reload: Option<LastReload>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct LastReload {
    time: String,
    cause: &'static str,
    ok: bool,
    error: Option<String>,
}
