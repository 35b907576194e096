//! A strict registry that answers every request with 200. It records each request that it
//! understood, complete or truncated, and everything in its input that is not canonical HTTP/1.1.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::DEADLINE;
use super::fake::{Conversation, Fake};
use super::strict::{self, Framing, Head};

/// A request as the registry saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: Head,
    pub body: Vec<u8>,
    /// The number of body bytes received; `body` holds the first mebibyte of them.
    pub received: u64,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    Complete,
    /// The connection ended before the request did.
    Truncated,
}

impl Seen {
    pub fn all(&self, name: &str) -> Vec<&str> {
        strict::values(&self.head.headers, name)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Record {
    pub requests: Vec<Seen>,
    pub faults: Vec<String>,
    /// The number of connections that are new, or have sent part of a request head and nothing else
    /// yet.
    unfinished_heads: usize,
}

type Shared = Arc<(Mutex<Record>, Condvar)>;

pub struct Recorder {
    fake: Fake,
    shared: Shared,
}

const KEPT: usize = 1 << 20;
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";

impl Recorder {
    pub fn start() -> Recorder {
        Self::start_with(false)
    }

    /// One that does not record what tidegate asks by itself.
    pub fn of_clients() -> Recorder {
        Self::start_with(true)
    }

    fn start_with(only_clients: bool) -> Recorder {
        let shared = Shared::default();
        let (record, counted) = (Arc::clone(&shared), Arc::clone(&shared));
        // Counted at once: the thread of a connection may come later than the next connection.
        let accepted = move || counted.0.lock().unwrap().unfinished_heads += 1;
        let fake = Fake::start_counting(accepted, move |conversation| {
            let mut connection =
                Connection { conversation, buffer: Vec::new(), shared: &record, counted: true, only_clients };
            while connection.request() {}
        });
        Recorder { fake, shared }
    }

    pub fn url(&self) -> String {
        self.fake.url()
    }

    /// Everything recorded so far.
    pub fn record(&self) -> Record {
        self.shared.0.lock().unwrap().clone()
    }

    /// Waits until no request is half received, then returns and removes everything recorded. `Err`
    /// when a request stays half received.
    pub fn settle(&self) -> Result<Record, Record> {
        let running = |record: &mut Record| {
            record.unfinished_heads > 0 || record.requests.iter().any(|seen| seen.state == State::Running)
        };
        let record = self.shared.0.lock().unwrap();
        let (mut record, waited) = self.shared.1.wait_timeout_while(record, DEADLINE, running).unwrap();
        let settled = record.clone();
        record.requests.clear();
        record.faults.clear();
        if waited.timed_out() { Err(settled) } else { Ok(settled) }
    }

    /// Waits for a request in the wanted state and returns it as it is then.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + DEADLINE;
        let mut record = self.shared.0.lock().unwrap();
        loop {
            if let Some(seen) = record.requests.iter().find(|seen| wanted(seen)) {
                return seen.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the registry never saw {what}, but {record:#?}");
            record = self.shared.1.wait_timeout(record, left).unwrap().0;
        }
    }
}

struct Connection<'a> {
    conversation: &'a mut Conversation,
    buffer: Vec<u8>,
    shared: &'a Shared,
    /// It is one of the unfinished heads.
    counted: bool,
    /// Requests of tidegate itself are not recorded.
    only_clients: bool,
}

impl Connection<'_> {
    /// Reads and answers one request; false when the connection has ended.
    fn request(&mut self) -> bool {
        let head = self.head();
        let counted = usize::from(std::mem::take(&mut self.counted));
        let Some(head) = head else {
            self.change(|record| record.unfinished_heads -= counted);
            return false;
        };
        let mut agents = strict::values(&head.headers, "user-agent").into_iter();
        if self.only_clients && agents.any(|agent| agent.starts_with("tidegate/")) {
            self.change(|record| record.unfinished_heads -= counted);
            return self.conversation.write(format!("{ANSWER}{{}}").as_bytes());
        }
        let framing = head.framing;
        let to_head = head.method == "HEAD";
        let index = self.change(|record| {
            let state = if framing == Framing::Empty { State::Complete } else { State::Running };
            // Never between the two: `settle` would believe that nothing is on its way.
            record.unfinished_heads -= counted;
            record.requests.push(Seen { head, body: Vec::new(), received: 0, state });
            record.requests.len() - 1
        });
        let whole = match framing {
            Framing::Empty => Ok(true),
            Framing::Length(length) => Ok(self.body(index, length as usize)),
            Framing::Chunked => self.chunks(index),
        };
        let state = if whole == Ok(true) { State::Complete } else { State::Truncated };
        self.change(|record| {
            if let Some(seen) = record.requests.get_mut(index) {
                seen.state = state;
            }
            record.faults.extend(whole.err());
        });
        let body = if to_head { "" } else { "{}" };
        state == State::Complete && self.conversation.write(format!("{ANSWER}{body}").as_bytes())
    }

    fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break Some(end + 4);
            }
            if !self.buffer.is_empty() && !self.counted {
                self.counted = true;
                self.change(|record| record.unfinished_heads += 1);
            }
            if !self.fill() {
                break None;
            }
        };
        let Some(end) = end else {
            if !self.buffer.is_empty() {
                let rest = String::from_utf8_lossy(&self.buffer).into_owned();
                self.change(|record| record.faults.push(format!("a head that never ended: {rest:?}")));
            }
            return None;
        };
        let bytes: Vec<u8> = self.buffer.drain(..end).collect();
        match strict::head(&bytes) {
            Ok(head) => Some(head),
            Err(fault) => {
                self.change(|record| record.faults.push(fault));
                let _ = self.conversation.close();
                None
            }
        }
    }

    /// Reads `left` body bytes; false when the connection ends early.
    fn body(&mut self, index: usize, mut left: usize) -> bool {
        while left > 0 {
            if self.buffer.is_empty() && !self.fill() {
                return false;
            }
            let piece: Vec<u8> = self.buffer.drain(..left.min(self.buffer.len())).collect();
            left -= piece.len();
            self.change(|record| {
                if let Some(seen) = record.requests.get_mut(index) {
                    seen.received += piece.len() as u64;
                    let room = KEPT.saturating_sub(seen.body.len()).min(piece.len());
                    seen.body.extend_from_slice(&piece[..room]);
                }
            });
        }
        true
    }

    /// Reads all chunks. `Ok(false)` when the connection ends early, `Err` for bad framing.
    fn chunks(&mut self, index: usize) -> Result<bool, String> {
        loop {
            let end = loop {
                if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                    break end;
                }
                if !self.fill() {
                    return Ok(false);
                }
            };
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let size = strict::chunk_size(&line[..end])?;
            if !self.body(index, size) {
                return Ok(false);
            }
            while self.buffer.len() < 2 {
                if !self.fill() {
                    return Ok(false);
                }
            }
            let end: Vec<u8> = self.buffer.drain(..2).collect();
            if end != b"\r\n" {
                return Err(format!("{end:?} instead of a line end after a chunk of {size}"));
            }
            if size == 0 {
                return Ok(true);
            }
        }
    }

    fn fill(&mut self) -> bool {
        match self.conversation.read_some() {
            Some(bytes) => {
                self.buffer.extend_from_slice(&bytes);
                true
            }
            None => false,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let changed = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        changed
    }
}
