//! Clients that meet the faults, over HTTP/1.1 and HTTP/2.

use super::catalogue::Ask;
use super::verdict::Seen;
use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::tidegate::Tidegate;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
/// What is sent at once of a large upload.
pub const BEGUN: usize = 64 << 10;

impl Ask {
    fn method(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::SmallPush | Self::PushBegun => "PATCH",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Get | Self::Head => BLOB,
            Self::SmallPush | Self::PushBegun => UPLOAD,
        }
    }

    /// The announced length of its body, and how much of it is sent.
    fn body(self) -> Option<(usize, usize)> {
        match self {
            Self::Get | Self::Head => None,
            Self::SmallPush => Some((1000, 1000)),
            Self::PushBegun => Some((16 << 20, BEGUN)),
        }
    }

    fn fields(self, agent: &str) -> Vec<String> {
        let length = self.body().map(|(length, _)| format!("Content-Length: {length}"));
        [AUTH.to_owned(), format!("User-Agent: {agent}")].into_iter().chain(length).collect()
    }
}

/// Asks over a new HTTP/1.1 connection.
pub fn ask_over_http1(tidegate: &Tidegate, ask: Ask, agent: &str, has_head: impl FnOnce()) -> Seen {
    let mut client = Client::connect(tidegate);
    let fields = ask.fields(agent);
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    client.send(http1::head(&format!("{} {}", ask.method(), ask.path()), &fields));
    if let Some((_, sent)) = ask.body() {
        // The answer may come first, and with it the end of the connection.
        let _ = client.tls.send(&vec![7; sent]);
    }
    let response = client.response_in_parts(ask == Ask::Head, has_head);
    let response = response.unwrap_or_else(|error| panic!("{agent}: no answer: {error}"));
    let ended = !response.complete && client.ends();
    Seen { response, ended }
}

/// Asks over a new HTTP/2 connection.
pub fn ask_over_http2(tidegate: &Tidegate, ask: Ask, agent: &str, has_head: impl FnOnce()) -> Seen {
    let mut client = http2::Client::connect(tidegate);
    let fields = ask.fields(agent);
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let request = http2::request(ask.method(), "localhost", ask.path(), &fields);
    let (answer, mut upload) = client.send(request, ask.body().is_none());
    if let Some((length, sent)) = ask.body() {
        let _ = client.data(&mut upload, &vec![7; sent], sent == length);
    }
    let answer = client.answer_in_parts(answer, has_head);
    let answer = answer.unwrap_or_else(|error| panic!("{agent}: no answer: {error}"));
    Seen { response: Response::from(answer), ended: true }
}
