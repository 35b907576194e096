//! The layers that are on their way, for those who watch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::body::Flow;
use crate::metrics::Direction;
use crate::registry::target::Operation;

/// Most transfers in one report.
const LISTED: usize = 200;
/// The least time over which a rate is measured.
const SAMPLE: Duration = Duration::from_millis(750);
/// Bytes of a text that clients choose.
const LONGEST: usize = 256;

/// The running transfers of one worker, in the order of their beginnings.
#[derive(Default)]
pub(crate) struct Transfers {
    running: RefCell<BTreeMap<u64, Rc<Transfer>>>,
    begun: Cell<u64>,
}

/// One running transfer of a layer.
struct Transfer {
    new: New,
    size: Cell<Option<u64>>,
    begun: Instant,
    flow: Rc<Flow>,
    sample: Cell<Sample>,
}

/// The rate of a transfer, as measured last.
#[derive(Clone, Copy)]
struct Sample {
    taken: Instant,
    bytes: u64,
    rate: Option<f64>,
}

/// A transfer as it is shown. Texts that clients chose are cut, and have no control characters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunningTransfer {
    pub id: String,
    /// `push` or `pull`.
    pub direction: &'static str,
    pub operation: &'static str,
    pub repository: String,
    /// The digest of the layer, or the id of the upload.
    pub reference: Option<String>,
    /// `None` for an anonymous client.
    pub user: Option<String>,
    pub client: IpAddr,
    pub user_agent: String,
    /// Bytes moved so far.
    pub bytes: u64,
    /// Bytes of the whole transfer, if the sender has said so.
    pub size: Option<u64>,
    /// Bytes per second over the last second, once there was one.
    pub rate: Option<f64>,
    /// In seconds.
    pub age: f64,
}

/// A transfer that is about to begin.
pub(super) struct New {
    pub(super) id: String,
    pub(super) direction: Direction,
    pub(super) operation: Operation,
    pub(super) repository: String,
    pub(super) reference: Option<String>,
    pub(super) user: Option<String>,
    pub(super) client: IpAddr,
    pub(super) user_agent: String,
    /// Bytes that the client has announced.
    pub(super) size: Option<u64>,
}

impl Transfers {
    /// Lists a transfer whose bytes `flow` counts.
    pub(super) fn list(self: &Rc<Self>, new: New, flow: Rc<Flow>) -> Listed {
        let begun = Instant::now();
        flow.counts().transfers[new.direction].change(1);
        let size = Cell::new(new.size);
        let sample = Cell::new(Sample { taken: begun, bytes: 0, rate: None });
        let transfer = Rc::new(Transfer { new, size, begun, flow, sample });
        let number = self.begun.replace(self.begun.get() + 1);
        self.running.borrow_mut().insert(number, transfer.clone());
        Listed { among: self.clone(), number, transfer }
    }

    /// The transfers that have run for longest, and the number of all.
    pub(crate) fn report(&self) -> (Vec<RunningTransfer>, usize) {
        let running = self.running.borrow();
        let now = Instant::now();
        (running.values().take(LISTED).map(|transfer| transfer.report(now)).collect(), running.len())
    }
}

impl Transfer {
    fn bytes(&self) -> u64 {
        match self.new.direction {
            Direction::Push => self.flow.bytes_in(),
            Direction::Pull => self.flow.bytes_out(),
        }
    }

    fn report(&self, now: Instant) -> RunningTransfer {
        let bytes = self.bytes();
        let last = self.sample.get();
        let elapsed = now - last.taken;
        let rate = if elapsed >= SAMPLE {
            let rate = Some((bytes - last.bytes) as f64 / elapsed.as_secs_f64());
            self.sample.set(Sample { taken: now, bytes, rate });
            rate
        } else {
            last.rate
        };
        let new = &self.new;
        RunningTransfer {
            id: new.id.clone(),
            direction: new.direction.as_str(),
            operation: new.operation.as_str(),
            repository: shown(&new.repository),
            reference: new.reference.as_deref().map(shown),
            user: new.user.as_deref().map(shown),
            client: new.client,
            user_agent: shown(&new.user_agent),
            bytes,
            size: self.size.get(),
            rate,
            age: (now - self.begun).as_secs_f64(),
        }
    }
}

/// A text as it is shown: at most 256 bytes, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for character in text.chars() {
        let before = shown.len();
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        if shown.len() > LONGEST {
            shown.truncate(before);
            break;
        }
    }
    shown
}

/// A transfer that is listed until this is dropped.
pub(super) struct Listed {
    among: Rc<Transfers>,
    number: u64,
    transfer: Rc<Transfer>,
}

impl Listed {
    /// The length of the registry's answer is known.
    pub(super) fn answered(&self, length: Option<u64>) {
        if self.transfer.new.direction == Direction::Pull {
            self.transfer.size.set(length);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.among.running.borrow_mut().remove(&self.number);
        self.transfer.flow.counts().transfers[self.transfer.new.direction].change(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_client_chose_is_cut_between_characters_and_has_no_control_characters() {
        assert_eq!(shown("<b>team/app</b>"), "<b>team/app</b>");
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(shown(&"ä".repeat(200)), "ä".repeat(128));
        assert_eq!(shown(&format!("{}ä", "x".repeat(255))), "x".repeat(255));
    }
}
