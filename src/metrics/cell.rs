//! Counters and gauges that one thread writes and any thread reads.

use std::marker::PhantomData;
use std::ops::Index;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::label::Label;

/// A counter of one thread. Not an atomic addition: that would cost as much as the rest of the
/// counting.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// Adds `more`. Only the thread that owns the cell may call it; others lose counts.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A gauge of one thread.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    /// Changes the value. Only the thread that owns the gauge may call it.
    pub(crate) fn change(&self, by: i64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter that several threads write, for what is rare.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One value of the kind `C` for each of the `N` values of the label `L`.
#[derive(Debug)]
pub(crate) struct Counters<L, const N: usize, C = Cell>([C; N], PhantomData<L>);

impl<L, const N: usize, C: Default> Default for Counters<L, N, C> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| C::default()), PhantomData)
    }
}

impl<L: Label, const N: usize, C> Index<L> for Counters<L, N, C> {
    type Output = C;

    fn index(&self, label: L) -> &C {
        &self.0[label.index()]
    }
}
