//! The results as text: a row for each quantity, a column for each proxy.

use std::fmt::Write as _;

use crate::machine;
use crate::peers::{Installed, Peer};
use crate::quantity::Quantity;
use crate::results::Results;
use crate::workloads;

const TITLE: usize = 35;
const LABEL: usize = 17;
const OWN: usize = 12;
const COLUMN: usize = 22;

pub fn text(results: &Results, peers: &[Installed]) -> String {
    let mut out = format!("{}\n", machine::description());
    for installed in peers {
        let _ = writeln!(out, "{:16}{}", installed.peer.name(), about(installed, results));
    }
    let _ = write!(out, "\n{:TITLE$}{:LABEL$}", "", "");
    for Installed { peer, .. } in peers {
        let width = if *peer == Peer::Tidegate { OWN } else { COLUMN };
        let _ = write!(out, "{:>width$}", peer.name());
    }
    out.push('\n');
    for workload in &workloads::ALL {
        for (row, quantity) in results.quantities(workload.name).into_iter().enumerate() {
            let title = if row == 0 { workload.title } else { "" };
            let _ = write!(out, "{title:TITLE$}{:LABEL$}", quantity.label());
            let own = results.median(workload.name, quantity, Peer::Tidegate);
            for Installed { peer, .. } in peers {
                let value = value(results, workload.name, quantity, *peer);
                let _ = match results.median(workload.name, quantity, *peer) {
                    _ if *peer == Peer::Tidegate => write!(out, "{value:>OWN$}"),
                    None => write!(out, "{value:>COLUMN$}"),
                    Some(other) => write!(out, "{:>COLUMN$}", format!("{value} {:>8}", ratio(own, other))),
                };
            }
            out.push('\n');
        }
    }
    for cell in results.failures() {
        let _ = writeln!(out, "– {} with {}: {}", cell.workload, cell.peer.name(), cell.reason);
    }
    out
}

/// The versions of a peer, and what one has to know of its part in the comparison.
pub fn about(installed: &Installed, results: &Results) -> String {
    let mut about = installed.versions();
    if let Some(group) = results.group(installed.peer) {
        about.push_str(&format!(", {group} with clients like Go"));
    }
    if !installed.peer.checks_passwords() {
        about.push_str(", checks no passwords");
    }
    about
}

/// Formats three significant digits, without decimals from 100 on.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The median with its spread, such as `0.920 ±3%`, or a dash.
fn value(results: &Results, workload: &str, quantity: Quantity, peer: Peer) -> String {
    let Some(median) = results.median(workload, quantity, peer) else { return "–".to_owned() };
    let spread = results.spread(workload, quantity, peer);
    let spread = spread.map_or(String::new(), |spread| format!(" ±{:.0}%", spread * 100.0));
    digits(quantity.shown(median)) + &spread
}

fn ratio(own: Option<f64>, other: f64) -> String {
    match own {
        Some(own) if other > 0.0 => format!("({})", digits(own / other)),
        _ => String::new(),
    }
}
