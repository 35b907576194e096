//! What is known about the health of the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use time::OffsetDateTime;

use crate::metrics::Count;

/// The health of the registry, shared by the checks and everybody who reads their results.
#[derive(Debug, Default)]
pub(crate) struct UpstreamHealth {
    latest: ArcSwapOption<UpstreamState>,
    /// The number of its addresses at the last look-up.
    addresses: AtomicU64,
    passed: Count,
    failed: Count,
}

/// What the checks have found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamState {
    /// The registry that was asked, as the access log shows it.
    pub name: String,
    pub up: bool,
    /// The first check with this result.
    pub since: OffsetDateTime,
    /// Why it is down.
    pub fault: Option<UpstreamFault>,
}

/// Why clients cannot use the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamFault {
    /// For everybody: without an address or anything else about the inside.
    pub brief: String,
    /// For the operator: what happened, and what to do.
    pub detail: String,
}

impl UpstreamHealth {
    /// The result of the latest check; `None` until there is one.
    pub(crate) fn latest(&self) -> Option<Arc<UpstreamState>> {
        self.latest.load_full()
    }

    /// Checks that found the registry healthy.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.get()
    }

    /// Checks that did not.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// The number of addresses at the last look-up that succeeded; 0 before the first.
    pub(crate) fn addresses(&self) -> u64 {
        self.addresses.load(Ordering::Relaxed)
    }

    /// Records a look-up of the addresses.
    pub(crate) fn found(&self, addresses: u64) {
        self.addresses.store(addresses, Ordering::Relaxed);
    }

    /// Counts the result of a check.
    pub(crate) fn count(&self, is_healthy: bool) {
        let counter = if is_healthy { &self.passed } else { &self.failed };
        counter.increment();
    }

    /// Records the result of a check of the registry `name`. Returns the state before if it was
    /// another one.
    pub(crate) fn record(&self, name: &str, fault: Option<UpstreamFault>) -> Option<Arc<UpstreamState>> {
        let before = self.latest();
        let up = fault.is_none();
        let same = before.as_ref().filter(|before| before.name == name && before.up == up);
        let since = same.map_or_else(OffsetDateTime::now_utc, |same| same.since);
        let is_same = same.is_some();
        self.latest.store(Some(Arc::new(UpstreamState { name: name.to_owned(), up, since, fault })));
        before.filter(|_| !is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_begins_with_the_first_check_that_found_it() {
        let health = UpstreamHealth::default();
        let fault = |brief: &str| UpstreamFault { brief: brief.to_owned(), detail: String::new() };
        assert_eq!(health.latest(), None);
        assert_eq!(health.record("a", None), None);
        let first = health.latest().unwrap();
        assert_eq!(health.record("a", None), None);
        assert_eq!(health.latest().unwrap().since, first.since);
        assert!(health.record("a", Some(fault("one"))).is_some_and(|before| before.up));
        assert_eq!(health.record("a", Some(fault("two"))), None);
        let down = health.latest().unwrap();
        assert_eq!((down.up, down.fault.clone()), (false, Some(fault("two"))));
        assert!(health.record("b", Some(fault("two"))).is_some_and(|before| before.name == "a"));
    }
}
