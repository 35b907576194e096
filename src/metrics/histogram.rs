//! Histograms of durations.

use std::time::Duration;

use super::cell::Cell;

/// How often durations fell into each of `N` buckets. One thread writes it, any thread reads it.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    /// In milliseconds, ascending.
    bounds: &'static [u64; N],
    buckets: [Cell; N],
    above: Cell,
    microseconds: Cell,
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(bounds: &'static [u64; N]) -> Self {
        let buckets = std::array::from_fn(|_| Cell::default());
        Self { bounds, buckets, above: Cell::default(), microseconds: Cell::default() }
    }

    /// Records one duration. A bucket includes its bound.
    pub(crate) fn observe(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let fits = self.bounds.iter().position(|bound| microseconds <= bound * 1000);
        fits.map_or(&self.above, |bucket| &self.buckets[bucket]).add(1);
        self.microseconds.add(microseconds);
    }
}

/// What several histograms with the same bounds have recorded, in the form of the exposition.
#[derive(Debug, PartialEq)]
pub(crate) struct Observed {
    /// In seconds.
    pub sum: f64,
    pub count: u64,
    /// The bounds in seconds, the last infinite, and how many durations fell between each and the
    /// one before.
    pub buckets: Vec<(f64, u64)>,
}

impl Observed {
    /// Adds up `histograms`, of which there is at least one.
    pub(crate) fn of<'a, const N: usize>(histograms: impl Iterator<Item = &'a Histogram<N>>) -> Self {
        let (mut counts, mut microseconds, mut bounds) = ([0; N], 0, None);
        let mut above = 0;
        for histogram in histograms {
            bounds = Some(histogram.bounds);
            for (count, bucket) in counts.iter_mut().zip(&histogram.buckets) {
                *count += bucket.get();
            }
            above += histogram.above.get();
            microseconds += histogram.microseconds.get();
        }
        let bounds = bounds.into_iter().flatten().map(|bound| *bound as f64 / 1e3);
        let buckets = bounds.zip(counts).chain([(f64::INFINITY, above)]).collect();
        Self { sum: microseconds as f64 / 1e6, count: counts.iter().sum::<u64>() + above, buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_several_workers_are_added_up() {
        let workers = [Histogram::new(&[5, 2500]), Histogram::new(&[5, 2500])];
        for (worker, milliseconds) in [(0, 5), (1, 6), (0, 2501), (1, 0)] {
            workers[worker].observe(Duration::from_millis(milliseconds));
        }
        let observed = Observed::of(workers.iter());
        assert_eq!(observed.buckets, [(0.005, 2), (2.5, 1), (f64::INFINITY, 1)]);
        assert_eq!((observed.count, observed.sum), (4, 2.512));
    }
}
