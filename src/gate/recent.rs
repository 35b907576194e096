//! The latest refusals, for those who watch.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;

use serde::Serialize;

use super::transfers::shown;
use crate::log::record::Record;
use crate::log::rfc_3339;
use crate::metrics::Refused;

/// Refusals that are remembered.
const REMEMBERED: usize = 50;

/// The latest refusals of one worker.
#[derive(Default)]
pub(crate) struct RecentRefusals(RefCell<VecDeque<RecentRefusal>>);

/// A refusal as it is shown. Texts that clients chose are cut, and have no control characters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecentRefusal {
    /// When the request began, as in RFC 3339.
    pub time: String,
    pub client: IpAddr,
    /// The user, also one whose login failed.
    pub user: Option<String>,
    pub method: String,
    pub repository: Option<String>,
    pub operation: &'static str,
    pub status: u16,
    /// As in the metric `tidegate_refusals_total`.
    pub kind: &'static str,
    pub reason: Option<Cow<'static, str>>,
    pub user_agent: String,
}

impl RecentRefusals {
    /// Remembers the refusal of the request of `record`.
    pub(super) fn remember(&self, record: &Record, kind: Refused, status: u16) {
        let mut refusals = self.0.borrow_mut();
        if refusals.len() == REMEMBERED {
            refusals.pop_front();
        }
        refusals.push_back(RecentRefusal {
            time: rfc_3339(record.time),
            client: record.client,
            user: record.user.as_deref().or(record.claimed.as_deref()).map(shown),
            method: shown(&record.method),
            repository: record.repository.as_deref().map(shown),
            operation: record.operation,
            status,
            kind: kind.as_str(),
            reason: record.reason.clone(),
            user_agent: shown(&record.user_agent),
        });
    }

    /// The refusals, the latest last.
    pub(crate) fn report(&self) -> Vec<RecentRefusal> {
        self.0.borrow().iter().cloned().collect()
    }
}
