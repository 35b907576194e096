//! The performance that tidegate promises, compared with this run. A missed goal only prints "NO":
//! a busy machine must not fail a build.

use std::fmt::Write as _;

use crate::peers::Peer;
use crate::quantity::Quantity;
use crate::results::Results;
use crate::table::digits;

use Peer::{Nginx, NginxTuned, TidegateBefore};
use Quantity::{
    BytesPerConnection, BytesPerTransfer, CpuPerGib, CpuPerImage, DiskBytes, HandshakesPerCpuSecond,
    MegabytesPerSecond, P99, RequestsPerCpuSecond, RequestsPerSecond, StartUp,
};

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Within(f64, f64),
}

use Bound::{AtLeast, AtMost, Within};

/// What tidegate's value is divided by.
#[derive(Clone, Copy)]
enum Against {
    /// The goal is for the value itself, in the unit of its label.
    Nothing,
    Peer(Peer),
    /// The best peer, without the older tidegate and the floor.
    Best,
    /// The best peer at another workload.
    BestAt(&'static str),
    /// tidegate at another workload.
    Own(&'static str),
}

use Against::{Best, BestAt, Nothing, Own};

const BEFORE: Against = Against::Peer(TidegateBefore);
const NGINX: Against = Against::Peer(Nginx);
const TUNED: Against = Against::Peer(NginxTuned);

struct Goal(&'static str, Quantity, Against, Bound);

const GOALS: [Goal; 35] = [
    Goal("docker-pull", CpuPerImage, TUNED, AtMost(0.5)),
    Goal("docker-pull", CpuPerImage, BEFORE, AtMost(0.75)),
    Goal("docker-push", CpuPerImage, TUNED, AtMost(0.5)),
    Goal("docker-push", CpuPerImage, BEFORE, AtMost(0.75)),
    Goal("crane-pull", CpuPerImage, Best, AtMost(1.0)),
    Goal("crane-pull", CpuPerImage, BEFORE, AtMost(1.0 / 1.5)),
    Goal("pull-h1", CpuPerGib, Best, AtMost(0.75)),
    Goal("pull-h1", CpuPerGib, BEFORE, AtMost(0.8)),
    Goal("pull-h2", CpuPerGib, Best, AtMost(0.75)),
    Goal("pull-h2", CpuPerGib, BEFORE, AtMost(0.8)),
    Goal("pull-h2", MegabytesPerSecond, Own("pull-h1"), AtLeast(0.8)),
    Goal("pull-long", CpuPerGib, Own("pull-h1"), Within(0.95, 1.05)),
    Goal("push-chunked", CpuPerGib, Best, AtMost(0.75)),
    Goal("push-length", CpuPerGib, Best, AtMost(0.75)),
    Goal("push-h2", CpuPerGib, Best, AtMost(0.75)),
    Goal("push-h2", MegabytesPerSecond, Own("push-length"), AtLeast(0.8)),
    // The access log takes a page or two.
    Goal("push-chunked", DiskBytes, Nothing, AtMost(0.1)),
    Goal("registry-pull", CpuPerGib, Best, AtMost(0.75)),
    Goal("get-cost-10", RequestsPerCpuSecond, BestAt("get-open"), AtLeast(1.0)),
    Goal("get-cost-10", RequestsPerCpuSecond, BEFORE, AtLeast(1.6)),
    Goal("streams", RequestsPerCpuSecond, Best, AtLeast(1.0)),
    Goal("streams", RequestsPerCpuSecond, BEFORE, AtLeast(1.5)),
    Goal("handshake", HandshakesPerCpuSecond, NGINX, AtLeast(1.5)),
    // At most 0.45 of its CPU time.
    Goal("handshake-go", HandshakesPerCpuSecond, NGINX, AtLeast(1.0 / 0.45)),
    Goal("resumed", HandshakesPerCpuSecond, NGINX, AtLeast(1.2)),
    Goal("pulls-8", P99, BEFORE, AtMost(1.0)),
    Goal("pulls-8", P99, NGINX, AtMost(0.5)),
    Goal("strangers", P99, BEFORE, AtMost(1.0)),
    Goal("strangers", P99, Own("signed-in"), AtMost(2.0)),
    Goal("strangers", RequestsPerSecond, Own("signed-in"), AtLeast(0.5)),
    Goal("users-100000", RequestsPerCpuSecond, Own("users-1"), AtLeast(0.95)),
    Goal("users-100000", RequestsPerSecond, Own("users-1"), AtLeast(0.95)),
    Goal("users-100000", StartUp, Nothing, AtMost(1000.0)),
    Goal("idle", BytesPerConnection, Nothing, AtMost(6.0)),
    Goal("crowd", BytesPerTransfer, Nothing, AtMost(0.5)),
];

/// Prints one line for each goal whose workloads have run. A goal that is missed by no more than
/// the spread of the values is neither reached nor missed.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for goal in &GOALS {
        let Some((title, figure, spread)) = figure(goal, results) else { continue };
        let (bound, missed_by) = match goal.3 {
            AtMost(most) => (format!("at most {}", digits(most)), figure / most - 1.0),
            AtLeast(least) => (format!("at least {}", digits(least)), least / figure - 1.0),
            Within(least, most) => (format!("{least} to {most}"), (figure / most).max(least / figure) - 1.0),
        };
        let verdict = match missed_by {
            by if by <= 0.0 => "yes",
            by if by <= spread => "noise",
            _ => "NO",
        };
        let _ = writeln!(
            out,
            "{title:58}{:>8} ±{:2.0}%   {bound:15}{verdict:>5}",
            digits(figure),
            spread * 100.0
        );
    }
    out
}

/// The goal in words, its value, and the spread of that.
fn figure(Goal(workload, quantity, against, _): &Goal, results: &Results) -> Option<(String, f64, f64)> {
    let value = |workload, peer| results.median(workload, *quantity, peer);
    let spread = |workload, peer| results.spread(workload, *quantity, peer).unwrap_or_default();
    let own = value(workload, Peer::Tidegate)?;
    let own_spread = spread(workload, Peer::Tidegate);
    let (other, peer) = match *against {
        Nothing => {
            let title = format!("{workload}: {}", quantity.label());
            return Some((title, quantity.shown(own), own_spread));
        }
        Against::Peer(peer) => (*workload, peer),
        Best => (*workload, results.best(workload, *quantity)?),
        BestAt(other) => (other, results.best(other, *quantity)?),
        Own(other) => (other, Peer::Tidegate),
    };
    let place = if other == *workload { String::new() } else { format!(" at {other}") };
    let title = format!("{workload}: {} against {}{place}", quantity.label(), peer.name());
    Some((title, own / value(other, peer)?, own_spread + spread(other, peer)))
}
