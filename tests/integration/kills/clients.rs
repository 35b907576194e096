//! Clients that ask until there were enough kills, and judge every answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::{Ledger, body};
use super::random::Random;
use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::tidegate::Tidegate;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
/// Clients of each protocol at once.
const CLIENTS: u64 = 4;
/// Streams of an HTTP/2 client at once.
const STREAMS: usize = 4;

pub struct Clients<'a> {
    pub tidegate: &'a Tidegate,
    pub ledger: &'a Ledger,
    pub seed: u64,
    pub kills: usize,
}

/// What the clients have seen.
#[derive(Debug, Default)]
pub struct Outcomes {
    whole: usize,
    /// Errors of tidegate's own.
    errors: usize,
    /// Answers that were visibly cut.
    broken: usize,
    /// The connection or stream ended without an answer.
    ended: usize,
}

impl Outcomes {
    /// Panics if the run was too easy or too hard to show anything.
    pub fn assert_all_were_met(&self) {
        assert!(self.whole > 0 && self.errors > 0 && self.broken > 0, "{self:?}");
    }
}

struct Ask {
    id: u64,
    method: &'static str,
    path: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

impl Ask {
    fn new(id: u64, random: &mut Random) -> Ask {
        let methods = ["GET", "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"];
        let method = methods[random.below(methods.len() as u64) as usize];
        let path = match method {
            "GET" | "HEAD" => format!("/v2/a/blobs/sha256:{id:064x}"),
            "POST" => "/v2/a/blobs/uploads/".to_owned(),
            _ => format!("/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-{id:012x}"),
        };
        let body = if matches!(method, "PATCH" | "PUT") { body(id) } else { Vec::new() };
        let mut fields = vec![AUTH.to_owned(), format!("User-Agent: id/{id}")];
        if !matches!(method, "GET" | "HEAD") {
            fields.push(format!("Content-Length: {}", body.len()));
        }
        Ask { id, method, path, fields, body }
    }

    fn fields(&self) -> Vec<&str> {
        self.fields.iter().map(String::as_str).collect()
    }
}

impl Clients<'_> {
    /// Asks until there were enough kills.
    pub fn run(&self) -> Outcomes {
        let outcomes = Mutex::new(Outcomes::default());
        let ids = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let random = move |salt| Random::new(self.seed ^ (number * 2 + salt + 1) << 32);
                scope.spawn({
                    let (ids, outcomes) = (&ids, &outcomes);
                    move || self.over_http1(random(0), ids, outcomes)
                });
                scope.spawn({
                    let (ids, outcomes) = (&ids, &outcomes);
                    move || self.over_http2(random(1), ids, outcomes)
                });
            }
        });
        outcomes.into_inner().unwrap()
    }

    fn goes_on(&self) -> bool {
        self.ledger.kills() < self.kills
    }

    fn over_http1(&self, mut random: Random, ids: &AtomicU64, outcomes: &Mutex<Outcomes>) {
        let mut client = Client::connect(self.tidegate);
        while self.goes_on() {
            let ask = Ask::new(ids.fetch_add(1, Ordering::SeqCst), &mut random);
            let head = http1::head(&format!("{} {}", ask.method, ask.path), &ask.fields());
            let sent = client.tls.send(head.as_bytes()).is_ok() && client.tls.send(&ask.body).is_ok();
            let response = client.response(ask.method == "HEAD");
            if let Err(error) = &response {
                let kind = error.kind();
                assert_ne!(kind, std::io::ErrorKind::WouldBlock, "{} {} hangs", ask.method, ask.id);
            }
            let goes_on = sent
                && response.as_ref().is_ok_and(|response| {
                    response.complete
                        && !response.all("connection").iter().any(|value| value.contains("close"))
                });
            judge(&ask, response.ok(), outcomes);
            if !goes_on {
                client = Client::connect(self.tidegate);
            }
        }
    }

    fn over_http2(&self, mut random: Random, ids: &AtomicU64, outcomes: &Mutex<Outcomes>) {
        let mut client = http2::Client::connect(self.tidegate);
        while self.goes_on() {
            let asks = [(); STREAMS].map(|()| Ask::new(ids.fetch_add(1, Ordering::SeqCst), &mut random));
            let answers = asks.each_ref().map(|ask| {
                let request = http2::request(ask.method, "localhost", &ask.path, &ask.fields());
                let (answer, mut upload) = client.send(request, ask.body.is_empty());
                if !ask.body.is_empty() {
                    // The answer may come first.
                    let _ = client.data(&mut upload, &ask.body, true);
                }
                answer
            });
            for (ask, answer) in asks.iter().zip(answers) {
                judge(ask, client.answer(answer).ok().map(Response::from), outcomes);
            }
        }
    }
}

/// Panics unless the answer is right, or visibly none.
fn judge(ask: &Ask, response: Option<Response>, outcomes: &Mutex<Outcomes>) {
    let mut outcomes = outcomes.lock().unwrap();
    let Some(response) = response else {
        outcomes.ended += 1;
        return;
    };
    if response.status == 200 {
        assert_eq!(response.all("X-Id"), [ask.id.to_string()], "the answer to another request");
        if !response.complete {
            outcomes.broken += 1;
            return;
        }
        let wanted = if ask.method == "HEAD" { Vec::new() } else { body(ask.id) };
        assert!(response.body == wanted, "{} {} is silently wrong", ask.method, ask.id);
        outcomes.whole += 1;
        return;
    }
    assert!(matches!(response.status, 502 | 503), "{} {}: {response:?}", ask.method, ask.id);
    if ask.method != "HEAD" {
        assert_eq!(response.error_code(), "UNAVAILABLE", "{response:?}");
    }
    outcomes.errors += 1;
}
