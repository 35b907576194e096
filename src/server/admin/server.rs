//! What all connections to the admin listener share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::registry::Registry;
use rustix::system::uname;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::page::Page;
use super::readiness::ready;
use super::status::{Chart, Sources};
use super::watchers::Watchers;
use crate::server::exposition::registry;
use crate::server::heartbeat::Heartbeat;
use crate::server::slots::Slots;
use crate::server::workers::WorkersView;
use crate::state::Shared;

/// How long the end of the process waits for the last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// The admin listener without its sockets. It lives on the main thread.
pub(crate) struct AdminServer {
    pub(super) shared: Arc<Shared>,
    pub(super) heartbeat: Heartbeat,
    pub(super) page: Page,
    pub(super) metrics: Registry,
    slots: Slots,
    started: SystemTime,
    /// The name of the host.
    node: String,
    chart: RefCell<Chart>,
    /// Whether a slot of the chart has ended since the watchers got it.
    has_news: Cell<bool>,
    pub(super) watchers: Rc<Watchers>,
    /// Whether the process ends.
    end: watch::Sender<bool>,
}

impl AdminServer {
    /// `slots` are those of `server.listen`.
    pub(crate) fn new(shared: Arc<Shared>, workers: WorkersView, slots: Slots) -> Rc<Self> {
        Rc::new(Self {
            heartbeat: Heartbeat::new(workers),
            page: Page::new(),
            metrics: registry(shared.clone(), slots.clone()),
            shared,
            slots,
            started: SystemTime::now(),
            node: uname().nodename().to_string_lossy().into_owned(),
            chart: RefCell::new(Chart::new()),
            has_news: Cell::new(false),
            watchers: Rc::default(),
            end: watch::Sender::new(false),
        })
    }

    /// Keeps the chart of the last hour until it is dropped.
    pub(crate) async fn keep_chart(self: Rc<Self>) {
        let mut slots = interval(Chart::INTERVAL);
        slots.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick is at once.
        slots.tick().await;
        loop {
            slots.tick().await;
            self.chart.borrow_mut().end_slot(&self.shared.metrics);
            self.has_news.set(true);
        }
    }

    /// Whether every worker does its work. Takes three seconds if one does not.
    pub(crate) async fn is_alive(&self) -> bool {
        self.heartbeat.answers().await.stuck.is_empty()
    }

    /// The present status as JSON, with the chart if it `has_chart`.
    pub(super) async fn status(&self, has_chart: bool) -> Vec<u8> {
        let answers = self.heartbeat.answers().await;
        let chart = self.chart.borrow();
        let sources = Sources {
            shared: &self.shared,
            slots: &self.slots,
            started: self.started,
            node: &self.node,
            ready: ready(&self.shared),
            reports: &answers.reports,
            chart: has_chart.then_some(&*chart),
        };
        sources.json()
    }

    /// Sends the status to those who watch, once a second, until nobody does.
    pub(super) async fn keep_sending(self: Rc<Self>) {
        let mut seconds = interval(EVENT_INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the first watcher has its first event already.
        seconds.tick().await;
        self.has_news.set(false);
        loop {
            seconds.tick().await;
            if !self.watchers.has_any() {
                return;
            }
            self.watchers.send(&self.status(self.has_news.take()).await);
        }
    }

    /// Becomes true when the process ends. Whoever holds it is waited for, for a moment.
    pub(super) fn end(&self) -> watch::Receiver<bool> {
        self.end.subscribe()
    }

    /// Ends the connections, those that watch too.
    pub(crate) async fn finish(&self) {
        self.end.send_replace(true);
        self.watchers.end();
        _ = timeout(LAST_ANSWERS, self.end.closed()).await;
    }
}
