//! The performance that tidegate promises, compared with this run. A missed goal only prints "NO":
//! a busy machine must not fail a build.

use std::fmt::Write as _;

use crate::peers::Peer;
use crate::quantity::Quantity;
use crate::results::Results;
use crate::table::digits;

use Peer::{Caddy, Haproxy, Nginx, NginxTuned, Tidegate};
use Quantity::{
    BytesPerConnection, BytesPerTransfer, CpuPerGib, DiskBytes, HandshakesPerCpuSecond, MegabytesPerSecond,
    P99, RequestsPerCpuSecond, RequestsPerSecond, StartUp,
};

/// The workload, the measured quantity and the proxy of a value.
type Value = (&'static str, Quantity, Peer);

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Within(f64, f64),
}

use Bound::{AtLeast, AtMost, Within};

struct Goal {
    title: &'static str,
    value: Value,
    /// The value to divide by. Without it, the goal is for the value itself, in the unit of its
    /// label.
    divided_by: Option<Value>,
    bound: Bound,
}

const GOALS: [Goal; 24] = [
    ratio("pull: CPU against nginx", own("pull-h1", CpuPerGib), ("pull-h1", CpuPerGib, Nginx), AtMost(0.40)),
    ratio(
        "pull: CPU against haproxy",
        own("pull-h1", CpuPerGib),
        ("pull-h1", CpuPerGib, Haproxy),
        AtMost(0.45),
    ),
    ratio(
        "push, chunked: CPU against nginx",
        own("push-chunked", CpuPerGib),
        ("push-chunked", CpuPerGib, Nginx),
        AtMost(0.30),
    ),
    ratio(
        "push, chunked: CPU against haproxy",
        own("push-chunked", CpuPerGib),
        ("push-chunked", CpuPerGib, Haproxy),
        AtMost(0.60),
    ),
    // The access log takes a page or two.
    plain("push, chunked: MiB to disk", own("push-chunked", DiskBytes), AtMost(0.1)),
    ratio(
        "manifests, cost 10: against nginx",
        own("get-cost-10", RequestsPerCpuSecond),
        ("get-cost-10", RequestsPerCpuSecond, Nginx),
        AtLeast(1000.0),
    ),
    ratio(
        "manifests, cost 5: against nginx",
        own("get-cost-5", RequestsPerCpuSecond),
        ("get-cost-5", RequestsPerCpuSecond, Nginx),
        AtLeast(30.0),
    ),
    ratio(
        "manifests: against nginx tuned, no password",
        own("get-cost-10", RequestsPerCpuSecond),
        ("get-open", RequestsPerCpuSecond, NginxTuned),
        AtLeast(1.4),
    ),
    ratio("beside strangers: p99", own("strangers", P99), own("signed-in", P99), AtMost(2.0)),
    ratio(
        "beside strangers: requests/s",
        own("strangers", RequestsPerSecond),
        own("signed-in", RequestsPerSecond),
        AtLeast(0.5),
    ),
    ratio(
        "full handshakes: against nginx",
        own("handshake", HandshakesPerCpuSecond),
        ("handshake", HandshakesPerCpuSecond, Nginx),
        AtLeast(1.5),
    ),
    ratio(
        "resumed handshakes: against nginx",
        own("resumed", HandshakesPerCpuSecond),
        ("resumed", HandshakesPerCpuSecond, Nginx),
        AtLeast(1.2),
    ),
    plain("KB per idle connection", own("idle", BytesPerConnection), AtMost(10.0)),
    plain("MiB per running transfer", own("crowd", BytesPerTransfer), AtMost(1.0)),
    ratio(
        "HEAD beside 8 pulls: p99 against nginx",
        own("pulls-8", P99),
        ("pulls-8", P99, Nginx),
        AtMost(0.5),
    ),
    ratio(
        "100,000 users: CPU against one user",
        own("users-100000", RequestsPerCpuSecond),
        own("users-1", RequestsPerCpuSecond),
        AtLeast(0.95),
    ),
    ratio(
        "100,000 users: requests/s against one user",
        own("users-100000", RequestsPerSecond),
        own("users-1", RequestsPerSecond),
        AtLeast(0.95),
    ),
    plain("100,000 users: start-up ms", own("users-100000", StartUp), AtMost(1000.0)),
    ratio(
        "pull: HTTP/2 against HTTP/1.1, MB/s",
        own("pull-h2", MegabytesPerSecond),
        own("pull-h1", MegabytesPerSecond),
        AtLeast(0.8),
    ),
    ratio(
        "push: HTTP/2 against HTTP/1.1, MB/s",
        own("push-h2", MegabytesPerSecond),
        own("push-length", MegabytesPerSecond),
        AtLeast(0.8),
    ),
    ratio(
        "100 streams: CPU against caddy",
        own("streams", RequestsPerCpuSecond),
        ("streams", RequestsPerCpuSecond, Caddy),
        AtLeast(2.0),
    ),
    ratio(
        "100 streams: requests/s against caddy",
        own("streams", RequestsPerSecond),
        ("streams", RequestsPerSecond, Caddy),
        AtLeast(2.0),
    ),
    ratio(
        "a long pull: CPU per GiB",
        own("pull-long", CpuPerGib),
        own("pull-h1", CpuPerGib),
        Within(0.95, 1.05),
    ),
    ratio(
        "docker-registry pull: CPU against nginx",
        own("registry-pull", CpuPerGib),
        ("registry-pull", CpuPerGib, Nginx),
        AtMost(0.40),
    ),
];

const fn own(workload: &'static str, quantity: Quantity) -> Value {
    (workload, quantity, Tidegate)
}

const fn ratio(title: &'static str, value: Value, other: Value, bound: Bound) -> Goal {
    Goal { title, value, divided_by: Some(other), bound }
}

const fn plain(title: &'static str, value: Value, bound: Bound) -> Goal {
    Goal { title, value, divided_by: None, bound }
}

/// Prints one line for each goal whose workloads have run.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for goal in &GOALS {
        let Some(figure) = figure(goal, results) else { continue };
        let (bound, reached) = match goal.bound {
            AtMost(most) => (format!("at most {most}"), figure <= most),
            AtLeast(least) => (format!("at least {least}"), figure >= least),
            Within(least, most) => (format!("{least} to {most}"), (least..=most).contains(&figure)),
        };
        let verdict = if reached { "yes" } else { "NO" };
        let _ = writeln!(out, "{:45}{:>9}   {bound:15}{verdict:>5}", goal.title, digits(figure));
    }
    out
}

fn figure(goal: &Goal, results: &Results) -> Option<f64> {
    let of = |(workload, quantity, peer): Value| results.median(workload, quantity, peer);
    let value = of(goal.value)?;
    match goal.divided_by {
        Some(other) => Some(value / of(other)?),
        None => Some(goal.value.1.shown(value)),
    }
}
