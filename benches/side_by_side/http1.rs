//! A cheap HTTP/1.1 client: one request at a time; bodies are counted and discarded.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::blob::{Blob, CHUNK};
use crate::failure::Outcome;
use crate::target::{Connection, Handshake, PATIENCE, Protocol, Reads, Target};

/// The buffer for the head of an answer.
const HEAD: usize = 16 * 1024;

/// A prepared request, which can be sent many times.
#[derive(Clone)]
pub struct Request {
    bytes: Bytes,
    is_head: bool,
}

/// How the length of a request body is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    Length,
}

pub struct Answer {
    pub status: u16,
    /// The length of the body, which was complete.
    pub bytes: u64,
    /// Whether the connection ends with this answer.
    pub closes: bool,
    head: String,
}

pub struct Http1 {
    connection: Connection,
    buffer: Vec<u8>,
    filled: usize,
}

impl Request {
    pub fn new(method: &str, path: &str, target: &Target) -> Request {
        Request::with_fields(method, path, target, "")
    }

    /// Adds header fields, each with its line end.
    pub fn with_fields(method: &str, path: &str, target: &Target, fields: &str) -> Request {
        let host = target.host();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: side_by_side/1\r\n{fields}");
        if let Some(authorization) = &target.authorization {
            head.push_str(&format!("authorization: {authorization}\r\n"));
        }
        head.push_str("\r\n");
        Request { bytes: head.into(), is_head: method == "HEAD" }
    }

    pub fn with_body(method: &str, path: &str, target: &Target, media_type: &str, body: &str) -> Request {
        let fields = format!("content-type: {media_type}\r\ncontent-length: {}\r\n", body.len());
        let head = Request::with_fields(method, path, target, &fields);
        Request { bytes: [head.bytes, Bytes::copy_from_slice(body.as_bytes())].concat().into(), ..head }
    }
}

impl Http1 {
    pub async fn connect(target: &Target, reads: Reads) -> Outcome<Http1> {
        Http1::over(target.connect(Protocol::Http1, Handshake::Full, reads).await?, reads)
    }

    pub fn over(connection: Connection, reads: Reads) -> Outcome<Http1> {
        let buffer = vec![0; HEAD.max(reads as usize)];
        Ok(Http1 { connection, buffer, filled: 0 })
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a request and reads the answer.
    pub async fn send(&mut self, request: &Request) -> Outcome<Answer> {
        in_time(self.connection.write_all(&request.bytes)).await?;
        in_time(self.connection.flush()).await?;
        self.answer(request.is_head).await
    }

    /// Like `send`, but any other status is a failure.
    pub async fn expect(&mut self, request: &Request, status: u16) -> Outcome<Answer> {
        let answer = self.send(request).await?;
        answer.must_be(status)?;
        Ok(answer)
    }

    /// Sends a blob and reads the answer.
    pub async fn upload(
        &mut self,
        method: &str,
        path: &str,
        target: &Target,
        size: u64,
        framing: Framing,
    ) -> Outcome<Answer> {
        let fields = match framing {
            Framing::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
            Framing::Length => format!("content-length: {size}\r\n"),
        };
        let request = Request::with_fields(method, path, target, &fields);
        in_time(self.connection.write_all(&request.bytes)).await?;
        let whole = chunked(&crate::blob::chunk());
        for piece in Blob::of_size(size) {
            let framed = match framing {
                Framing::Length => piece,
                Framing::Chunked if piece.len() == CHUNK => whole.clone(),
                Framing::Chunked => chunked(&piece),
            };
            in_time(self.connection.write_all(&framed)).await?;
        }
        if framing == Framing::Chunked {
            in_time(self.connection.write_all(b"0\r\n\r\n")).await?;
        }
        in_time(self.connection.flush()).await?;
        self.answer(false).await
    }

    async fn answer(&mut self, is_head: bool) -> Outcome<Answer> {
        let end = loop {
            let head = &self.buffer[..self.filled];
            if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.filled >= HEAD {
                return Err("the head of an answer is too long".into());
            }
            let read = in_time(self.connection.read(&mut self.buffer[self.filled..])).await?;
            if read == 0 {
                return Err("the connection ended before an answer".into());
            }
            self.filled += read;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or("an answer has no status")?;
        let mut answer = Answer { status, bytes: 0, closes: false, head };
        answer.closes = answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let length = match answer.field("content-length") {
            _ if is_head || status == 204 || status == 304 => 0,
            Some(length) => length.parse()?,
            None => return Err(format!("an answer with status {status} does not give its length").into()),
        };
        let early = (self.filled - end) as u64;
        if early > length {
            return Err("more came than the answer".into());
        }
        self.filled = 0;
        answer.bytes = early;
        while answer.bytes < length {
            let room = (length - answer.bytes).min(self.buffer.len() as u64) as usize;
            let read = in_time(self.connection.read(&mut self.buffer[..room])).await?;
            if read == 0 {
                return Err(format!("a body ended after {} of {length} bytes", answer.bytes).into());
            }
            answer.bytes += read as u64;
        }
        Ok(answer)
    }
}

impl Answer {
    pub fn must_be(&self, status: u16) -> Outcome<()> {
        if self.status == status {
            Ok(())
        } else {
            Err(format!("{} instead of {status}", self.status).into())
        }
    }

    pub fn must_have(&self, bytes: u64) -> Outcome<()> {
        if self.bytes == bytes {
            Ok(())
        } else {
            Err(format!("{} bytes instead of {bytes}", self.bytes).into())
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn chunked(piece: &Bytes) -> Bytes {
    let mut framed = BytesMut::from(format!("{:x}\r\n", piece.len()).as_bytes());
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    framed.freeze()
}

async fn in_time<T>(step: impl Future<Output = std::io::Result<T>>) -> Outcome<T> {
    Ok(timeout(PATIENCE, step).await.map_err(|_| "the proxy did nothing for too long")??)
}
