//! Requests and bytes of repositories, by the patterns of `metrics.repositories`.

use std::sync::Arc;

use super::cell::{Cell, Counters};
use super::label::Action;

/// The counts of the repositories that match one pattern.
#[derive(Debug)]
pub(crate) struct RepositoryCounts {
    /// The pattern as configured, or `other`.
    pub name: String,
    workers: Box<[OfWorker]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct OfWorker(Counters<Action, { Action::ALL.len() }, Amounts>);

/// What requests of one kind amount to.
#[derive(Debug, Default)]
pub(crate) struct Amounts {
    pub requests: Cell,
    pub bytes: Cell,
}

impl RepositoryCounts {
    fn new(name: &str, workers: usize) -> Arc<Self> {
        let workers = (0..workers).map(|_| OfWorker::default()).collect();
        Arc::new(Self { name: name.to_owned(), workers })
    }

    /// The amounts that worker `number` counts.
    pub(crate) fn of_worker(&self, number: usize, action: Action) -> Option<&Amounts> {
        self.workers.get(number).map(|worker| &worker.0[action])
    }

    /// One amount of all workers.
    pub(crate) fn sum(&self, action: Action, amount: impl Fn(&Amounts) -> u64) -> u64 {
        self.workers.iter().map(|worker| amount(&worker.0[action])).sum()
    }
}

/// The counts of the patterns in force, in their order, and those of all other repositories.
#[derive(Debug, Clone)]
pub(crate) struct Repositories {
    patterns: Vec<Arc<RepositoryCounts>>,
    other: Arc<RepositoryCounts>,
}

impl Repositories {
    /// Patterns that were counted `before` go on from there.
    pub(crate) fn new<'a>(
        patterns: impl Iterator<Item = &'a str>,
        workers: usize,
        before: Option<&Self>,
    ) -> Self {
        let known = |name: &str| before?.patterns.iter().find(|known| known.name == name).cloned();
        let patterns =
            patterns.map(|name| known(name).unwrap_or_else(|| RepositoryCounts::new(name, workers)));
        let other = before.map(|before| before.other.clone());
        Self {
            patterns: patterns.collect(),
            other: other.unwrap_or_else(|| RepositoryCounts::new("other", workers)),
        }
    }

    /// The number of workers that are counted.
    pub(crate) fn workers(&self) -> usize {
        self.other.workers.len()
    }

    /// The counts for the pattern at `position`, or for all other repositories.
    pub(crate) fn at(&self, position: Option<usize>) -> &Arc<RepositoryCounts> {
        position.and_then(|position| self.patterns.get(position)).unwrap_or(&self.other)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<RepositoryCounts>> {
        self.patterns.iter().chain([&self.other])
    }
}
