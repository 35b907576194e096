//! An HTTP/1.1 client on raw bytes: requests exactly as the test writes them, answers exactly as
//! received.

use std::io;

use super::tidegate::Tidegate;
use super::tls::Tls;

/// One answer, with all fields in order.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body is complete according to its framing.
    pub complete: bool,
    /// The statuses of the interim (1xx) answers before it.
    pub interim: Vec<u16>,
}

impl Response {
    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `code` of the first error in an OCI error body.
    pub fn error_code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body {:?} of {}", self.text(), self.status));
        body["errors"][0]["code"].as_str().expect("an error has a code").to_owned()
    }
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

pub struct Client {
    pub tls: Tls,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(tidegate: &Tidegate) -> Client {
        Client::over(Tls::connect(tidegate, "http/1.1"))
    }

    pub fn over(tls: Tls) -> Client {
        Client { tls, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.send(bytes.as_ref()).unwrap();
    }

    /// Sends a request head made of `line` (method and target) and `fields`, and returns the
    /// answer.
    pub fn exchange(&mut self, line: &str, fields: &[&str]) -> Response {
        self.send(head(line, fields));
        self.response(line.starts_with("HEAD")).unwrap()
    }

    /// Reads the next final answer, or returns an error when there is none.
    pub fn response(&mut self, to_head: bool) -> io::Result<Response> {
        self.response_in_parts(to_head, || ())
    }

    /// The same. Calls `has_head` between the head of the final answer and its body.
    pub fn response_in_parts(&mut self, to_head: bool, has_head: impl FnOnce()) -> io::Result<Response> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head()?;
            if head.status >= 200 || head.status == 101 {
                break head;
            }
            interim.push(head.status);
        };
        has_head();
        let mut response =
            Response { status: head.status, headers: head.headers, interim, ..Response::default() };
        let empty = to_head || matches!(response.status, 101 | 204 | 304);
        let length = response.all("content-length").first().map(|length| length.parse::<usize>().unwrap());
        let chunked = response.all("transfer-encoding") == ["chunked"];
        (response.body, response.complete) = match length {
            _ if empty => (Vec::new(), true),
            _ if chunked => self.chunks(),
            Some(length) => self.exactly(length),
            None => (self.rest(), true),
        };
        Ok(response)
    }

    /// Reads the status and fields of the next answer, interim or final, and none of its body.
    pub fn head_only(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        self.head().map(|head| (head.status, head.headers))
    }

    /// Reads at least one more byte of a body; empty at the end of the connection.
    pub fn some(&mut self) -> Vec<u8> {
        if self.buffer.is_empty() {
            let _ = self.fill();
        }
        std::mem::take(&mut self.buffer)
    }

    /// Reads `length` bytes of a body, or as many as arrive, and returns whether it was complete.
    pub fn exactly(&mut self, length: usize) -> (Vec<u8>, bool) {
        while self.buffer.len() < length {
            if !self.fill().unwrap_or(false) {
                return (std::mem::take(&mut self.buffer), false);
            }
        }
        (self.buffer.drain(..length).collect(), true)
    }

    /// Whether the connection ends without another byte.
    pub fn ends(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.fill(), Ok(false))
    }

    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.line() else { return (body, false) };
            let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).expect("a chunk size");
            let (data, whole) = self.exactly(size);
            body.extend_from_slice(&data);
            let end = if whole { self.exactly(2).0 } else { Vec::new() };
            if end != b"\r\n" {
                return (body, false);
            }
            if size == 0 {
                return (body, true);
            }
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        while self.fill().unwrap_or(false) {}
        std::mem::take(&mut self.buffer)
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().unwrap_or(false) {
                return None;
            }
        }
    }

    fn head(&mut self) -> io::Result<Head> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).expect("a status").parse().expect("a number");
        let headers = lines
            .map(|line| line.split_once(": ").or(line.split_once(':')).expect("a field"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Head { status, headers })
    }

    /// Reads more; false at the end of the connection.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let read = self.tls.receive(&mut buffer)?;
        self.buffer.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }
}

/// A request head. A Host field is added unless `fields` has one.
pub fn head(line: &str, fields: &[&str]) -> String {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:")) {
        text.push_str("Host: localhost\r\n");
    }
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// The Authorization field of the tests' user.
pub fn authorized() -> String {
    format!("Authorization: {}", super::BASIC)
}
