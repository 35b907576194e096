//! The measurements of all rounds.

use std::collections::BTreeMap;

use crate::failure::Outcome;
use crate::meter::Measured;
use crate::peers::Peer;
use crate::quantity::Quantity;

#[derive(Default)]
pub struct Results {
    values: BTreeMap<(&'static str, Quantity, Peer), Vec<f64>>,
    failures: Vec<FailedCell>,
}

pub struct FailedCell {
    pub workload: &'static str,
    pub peer: Peer,
    pub reason: String,
}

impl Results {
    pub fn add(&mut self, workload: &'static str, peer: Peer, outcome: Outcome<Measured>) {
        match outcome {
            Ok(measured) => {
                for (quantity, value) in measured {
                    self.values.entry((workload, quantity, peer)).or_default().push(value);
                }
            }
            Err(failure) if self.failure(workload, peer).is_none() => {
                self.failures.push(FailedCell { workload, peer, reason: failure.to_string() });
            }
            Err(_) => {}
        }
    }

    /// The median of the rounds. A workload that failed once with a peer has no value there.
    pub fn median(&self, workload: &str, quantity: Quantity, peer: Peer) -> Option<f64> {
        if self.failure(workload, peer).is_some() {
            return None;
        }
        let mut values = self.rounds(workload, quantity, peer).to_vec();
        values.sort_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(f64::midpoint(lower, upper))
    }

    /// One value per round, in order.
    pub fn rounds(&self, workload: &str, quantity: Quantity, peer: Peer) -> &[f64] {
        let found = self
            .values
            .iter()
            .find(|((name, measured, of), _)| *name == workload && *measured == quantity && *of == peer);
        found.map_or(&[], |(_, values)| values)
    }

    /// The quantities that a workload measured, in the order of the table.
    pub fn quantities(&self, workload: &str) -> Vec<Quantity> {
        let mut found: Vec<Quantity> = self
            .values
            .keys()
            .filter(|(name, ..)| *name == workload)
            .map(|(_, quantity, _)| *quantity)
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Whether a peer has any measurement.
    pub fn has_any(&self, peer: Peer) -> bool {
        self.values.keys().any(|(.., of)| *of == peer)
    }

    pub fn failures(&self) -> &[FailedCell] {
        &self.failures
    }

    pub fn failure(&self, workload: &str, peer: Peer) -> Option<&FailedCell> {
        self.failures.iter().find(|cell| cell.workload == workload && cell.peer == peer)
    }
}
