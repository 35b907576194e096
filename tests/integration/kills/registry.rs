//! A registry that is killed at random moments: it ends the connection, and lives on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ledger::{Ledger, Moment, body};
use super::random::Random;
use crate::harness::fake::{Conversation, Fake};

pub struct Killable {
    fake: Fake,
}

/// Everything that the connections share.
struct Shared {
    ledger: Arc<Ledger>,
    random: Mutex<Random>,
}

impl Killable {
    pub fn start(ledger: &Arc<Ledger>, seed: u64) -> Killable {
        let shared = Shared { ledger: Arc::clone(ledger), random: Mutex::new(Random::new(seed)) };
        Killable { fake: Fake::start(move |conversation| shared.serve(conversation)) }
    }

    pub fn url(&self) -> String {
        self.fake.url()
    }
}

impl Shared {
    fn below(&self, limit: u64) -> u64 {
        self.random.lock().unwrap().below(limit)
    }

    /// Ends the connection in one of two ways.
    fn kill(&self, moment: Moment, conversation: &mut Conversation) {
        self.ledger.kill(moment);
        if self.below(2) == 0 {
            conversation.reset();
        }
    }

    /// When to kill during a request; `None` for not at all.
    fn draw(&self) -> Option<Moment> {
        match self.below(10) {
            0 => Some(Moment::BeforeHead),
            1 => Some(Moment::WithinRequestBody),
            2 => Some(Moment::WithinHead),
            3 => Some(Moment::WithinBody),
            4 | 5 => Some(Moment::Idle),
            _ => None,
        }
    }

    fn serve(&self, conversation: &mut Conversation) {
        if self.below(12) == 0 {
            return self.kill(Moment::Accepted, conversation);
        }
        let mut is_reused = false;
        while let Some(head) = conversation.read_head() {
            let Some(id) = value(&head, "user-agent").and_then(|agent| agent.strip_prefix("id/")) else {
                // tidegate asks by itself.
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                is_reused = true;
                continue;
            };
            let id: u64 = id.parse().unwrap();
            let method = head[0].split(' ').next().unwrap();
            self.ledger.see(id, method, is_reused);
            let moment = self.draw();
            let length = value(&head, "content-length").map_or(0, |length| length.parse::<usize>().unwrap());
            let before_body = self.below(2) == 0;
            if moment == Some(Moment::BeforeHead) && before_body
                || moment == Some(Moment::WithinRequestBody) && length > 1
            {
                if moment == Some(Moment::WithinRequestBody) {
                    let part = self.below(length as u64 - 1) as usize;
                    while_reading(conversation, part);
                }
                self.ledger.is_wordless(id);
                return self.kill(moment.unwrap(), conversation);
            }
            let Some(received) = exactly(conversation, length) else { return };
            if length > 0 && received != body(id) {
                self.ledger.has_wrong_body();
            }
            if moment == Some(Moment::BeforeHead) {
                self.ledger.is_wordless(id);
                return self.kill(Moment::BeforeHead, conversation);
            }
            let answer = answer(id, method);
            let size = answer.len() as u64;
            let head_size = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() as u64 + 4;
            let cut = match moment {
                Some(Moment::WithinHead) => Some(1 + self.below(head_size - 2)),
                Some(Moment::WithinBody) if size > head_size => {
                    Some(head_size + self.below(size - head_size))
                }
                _ => None,
            };
            if let Some(cut) = cut {
                conversation.write(&answer[..cut as usize]);
                return self.kill(moment.unwrap(), conversation);
            }
            if !conversation.write(&answer) {
                return;
            }
            if moment == Some(Moment::Idle) {
                std::thread::sleep(Duration::from_micros(self.below(3000)));
                return self.kill(Moment::Idle, conversation);
            }
            is_reused = true;
        }
    }
}

fn value<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    let fields = head.iter().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

/// Reads at least this many bytes, or what there is.
fn while_reading(conversation: &mut Conversation, bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        let Some(bytes) = conversation.read_some() else { return };
        left = left.saturating_sub(bytes.len());
    }
}

/// Reads a body; `None` when it is cut.
fn exactly(conversation: &mut Conversation, length: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < length {
        body.extend(conversation.read_some()?);
    }
    Some(body)
}

/// The whole answer to a request, with a length or in two chunks.
fn answer(id: u64, method: &str) -> Vec<u8> {
    let body = body(id);
    let is_chunked = id.is_multiple_of(3);
    let framing = if is_chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", body.len())
    };
    let mut answer = format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n{framing}\r\n\r\n").into_bytes();
    if method == "HEAD" {
        return answer;
    }
    if !is_chunked {
        answer.extend(body);
        return answer;
    }
    for chunk in body.chunks(body.len().div_ceil(2)) {
        answer.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        answer.extend(chunk);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    answer
}
