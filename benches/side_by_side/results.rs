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
    groups: BTreeMap<Peer, String>,
}

pub struct FailedCell {
    pub workload: &'static str,
    pub peer: Peer,
    pub reason: String,
}

impl Results {
    pub fn add(&mut self, workload: &'static str, peer: Peer, outcome: Outcome<(Measured, Option<String>)>) {
        match outcome {
            Ok((measured, group)) => {
                self.groups.extend(group.map(|group| (peer, group)));
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
        quantile(self.rounds(workload, quantity, peer), 0.5)
    }

    /// Half of the interquartile range of the rounds, divided by their median.
    pub fn spread(&self, workload: &str, quantity: Quantity, peer: Peer) -> Option<f64> {
        let rounds = self.rounds(workload, quantity, peer);
        let (first, middle, third) =
            (quantile(rounds, 0.25)?, quantile(rounds, 0.5)?, quantile(rounds, 0.75)?);
        (rounds.len() > 1 && middle > 0.0).then(|| (third - first) / 2.0 / middle)
    }

    /// The rival with the best median.
    pub fn best(&self, workload: &str, quantity: Quantity) -> Option<Peer> {
        let peers = Peer::ALL.into_iter().filter(|peer| peer.is_rival());
        let values = peers.filter_map(|peer| Some((self.median(workload, quantity, peer)?, peer)));
        let (_, best) =
            values.min_by(
                |(one, _), (other, _)| {
                    if quantity.is_cost() { one.total_cmp(other) } else { other.total_cmp(one) }
                },
            )?;
        Some(best)
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

    /// The group that a peer agrees on keys with, if a client supports what Go does.
    pub fn group(&self, peer: Peer) -> Option<&str> {
        self.groups.get(&peer).map(String::as_str)
    }

    pub fn failures(&self) -> &[FailedCell] {
        &self.failures
    }

    pub fn failure(&self, workload: &str, peer: Peer) -> Option<&FailedCell> {
        self.failures.iter().find(|cell| cell.workload == workload && cell.peer == peer)
    }
}

/// The value below which this share of all values is, between the two nearest ones.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = share * (values.len().checked_sub(1)?) as f64;
    let (lower, upper) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(lower + (upper - lower) * at.fract())
}
