//! What all registries of a test have seen, by the id of each request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The moment of a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Before a request was read.
    Accepted,
    /// After the head of a request, before a byte of an answer.
    BeforeHead,
    WithinRequestBody,
    WithinHead,
    WithinBody,
    /// After an answer, while nothing is asked.
    Idle,
}

/// How a request reached a registry once.
#[derive(Clone, Debug)]
pub struct Sighting {
    method: String,
    /// The connection had carried a request before.
    is_reused: bool,
    /// It was killed before the first byte of an answer.
    is_wordless: bool,
}

#[derive(Default)]
pub struct Ledger {
    seen: Mutex<BTreeMap<u64, Vec<Sighting>>>,
    kinds: Mutex<BTreeMap<Moment, usize>>,
    kills: AtomicUsize,
    wrong_bodies: AtomicUsize,
}

/// How many requests were seen once, and how many again.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub struct Sightings {
    once: usize,
    again: usize,
}

impl Ledger {
    pub fn see(&self, id: u64, method: &str, is_reused: bool) {
        let sighting = Sighting { method: method.to_owned(), is_reused, is_wordless: false };
        self.seen.lock().unwrap().entry(id).or_default().push(sighting);
    }

    /// The latest sighting of `id` is about to be killed before an answer begins.
    pub fn is_wordless(&self, id: u64) {
        if let Some(latest) = self.seen.lock().unwrap().get_mut(&id).and_then(|seen| seen.last_mut()) {
            latest.is_wordless = true;
        }
    }

    pub fn kill(&self, moment: Moment) {
        self.kills.fetch_add(1, Ordering::SeqCst);
        *self.kinds.lock().unwrap().entry(moment).or_default() += 1;
    }

    pub fn kills(&self) -> usize {
        self.kills.load(Ordering::SeqCst)
    }

    pub fn kinds(&self) -> BTreeMap<Moment, usize> {
        self.kinds.lock().unwrap().clone()
    }

    /// A whole request arrived with another body than its client sent.
    pub fn has_wrong_body(&self) {
        self.wrong_bodies.fetch_add(1, Ordering::SeqCst);
    }

    pub fn assert_no_request_was_sent_twice(&self) -> Sightings {
        assert_eq!(self.wrong_bodies.load(Ordering::SeqCst), 0, "requests with another body");
        let seen = self.seen.lock().unwrap();
        let mut again = 0;
        for (id, seen) in seen.iter().filter(|(_, seen)| seen.len() > 1) {
            let first = &seen[0];
            let is_safe = matches!(first.method.as_str(), "GET" | "HEAD");
            assert!(is_safe, "request {id} was sent again: {seen:?}");
            assert!(first.is_reused && first.is_wordless, "request {id} was sent again: {seen:?}");
            assert_eq!(seen.len(), 2, "request {id} was sent too often: {seen:?}");
            again += 1;
        }
        Sightings { once: seen.len() - again, again }
    }
}

/// The body of the request and of the answer `id`.
pub fn body(id: u64) -> Vec<u8> {
    let size = (id * 7919 % 40_000) as usize + 1;
    let text = format!("{id:020}.");
    text.bytes().cycle().take(size).collect()
}
