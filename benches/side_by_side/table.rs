//! The results as text: a row for each quantity, a column for each proxy.

use std::fmt::Write as _;

use crate::peers::Peer;
use crate::results::Results;
use crate::workloads;

const TITLE: usize = 36;
const LABEL: usize = 18;
const OWN: usize = 10;
const COLUMN: usize = 18;

pub fn text(results: &Results, peers: &[Peer]) -> String {
    let mut out = String::new();
    let _ = write!(out, "{:TITLE$}{:LABEL$}", "", "");
    for peer in peers {
        let width = if *peer == Peer::Tidegate { OWN } else { COLUMN };
        let _ = write!(out, "{:>width$}", peer.name());
    }
    out.push('\n');
    for workload in &workloads::ALL {
        for (row, quantity) in results.quantities(workload.name).into_iter().enumerate() {
            let title = if row == 0 { workload.title } else { "" };
            let _ = write!(out, "{title:TITLE$}{:LABEL$}", quantity.label());
            let own = results.median(workload.name, quantity, Peer::Tidegate);
            for peer in peers {
                let value = results.median(workload.name, quantity, *peer);
                let width = if *peer == Peer::Tidegate { OWN } else { COLUMN };
                let cell = match value {
                    None => "–".to_owned(),
                    Some(value) if *peer == Peer::Tidegate => digits(quantity.shown(value)),
                    Some(value) => format!("{} {:>8}", digits(quantity.shown(value)), ratio(own, value)),
                };
                let _ = write!(out, "{cell:>width$}");
            }
            out.push('\n');
        }
    }
    for cell in results.failures() {
        let _ = writeln!(out, "– {} with {}: {}", cell.workload, cell.peer.name(), cell.reason);
    }
    out
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

fn ratio(own: Option<f64>, other: f64) -> String {
    match own {
        Some(own) if other > 0.0 => format!("({})", digits(own / other)),
        _ => String::new(),
    }
}
