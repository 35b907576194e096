//! A request on its way to the registry (RFC 9112, sections 3, 5 and 7).

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body::Body;

use super::error::Broken;
use super::stream::Stream;
use crate::body::{ClientBody, TURN};

/// Room for a head of usual length.
const HEAD: usize = 1024;
/// Most slices that are written at once.
const SLICES: usize = 64;

/// A request of which nothing is sent yet.
pub(super) struct Outgoing {
    head: Bytes,
    body: Option<Box<ClientBody>>,
    /// The bytes of the body; `None` if it goes in chunks.
    left: Option<u64>,
    method: Method,
}

impl Outgoing {
    /// A request in origin-form. A body without `Content-Length` is sent in chunks.
    pub(super) fn new(request: Request<ClientBody>) -> Self {
        let (parts, body) = request.into_parts();
        let body = Some(body).filter(|body| !body.is_end_stream()).map(Box::new);
        let left = match (&body, parts.headers.get(CONTENT_LENGTH)) {
            (None, _) => Some(0),
            (Some(_), length) => length.and_then(|length| length.to_str().ok()?.parse().ok()),
        };
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut head = BytesMut::with_capacity(HEAD);
        for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            head.put_slice(part.as_bytes());
        }
        for (name, value) in &parts.headers {
            field(&mut head, name.as_str(), value.as_bytes());
        }
        if left.is_none() {
            field(&mut head, TRANSFER_ENCODING.as_str(), b"chunked");
        }
        head.put_slice(b"\r\n");
        Self { head: head.freeze(), body, left, method: parts.method }
    }

    /// The same request once more; `None` if it must not be sent twice, or cannot be.
    pub(super) fn again(&self) -> Option<Self> {
        let is_repeatable = self.body.is_none() && matches!(self.method, Method::GET | Method::HEAD);
        is_repeatable.then(|| Self {
            head: self.head.clone(),
            body: None,
            left: Some(0),
            method: self.method.clone(),
        })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }
}

fn field(head: &mut BytesMut, name: &str, value: &[u8]) {
    head.put_slice(name.as_bytes());
    head.put_slice(b": ");
    head.put_slice(value);
    head.put_slice(b"\r\n");
}

/// What of a request is not sent yet.
pub(super) struct Rest {
    /// What can be written at once.
    waiting: VecDeque<Bytes>,
    /// The bytes of it.
    bytes: usize,
    /// What is to come; `None` after the end.
    body: Option<Box<ClientBody>>,
    /// The bytes of it; `None` for a body in chunks.
    left: Option<u64>,
}

impl From<Outgoing> for Rest {
    fn from(request: Outgoing) -> Self {
        let Outgoing { head, body, left, .. } = request;
        Self { bytes: head.len(), waiting: VecDeque::from([head]), body, left }
    }
}

impl Rest {
    /// Sends what can be sent; ready when that was all.
    ///
    /// # Errors
    /// The client's body has ended badly. The registry must see that the request is cut.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            self.gather(cx)?;
            if self.waiting.is_empty() {
                ready!(stream.poll_flush(cx));
                return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.waiting.len().min(SLICES);
            for (slice, bytes) in slices.iter_mut().zip(&self.waiting) {
                *slice = IoSlice::new(bytes);
            }
            let written = ready!(stream.poll_send(cx, &slices[..count]));
            self.written(written);
        }
    }

    /// Takes what there is of the body, up to a whole turn.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while self.bytes < TURN as usize
            && self.waiting.len() < SLICES
            && let Some(body) = &mut self.body
            && let Poll::Ready(frame) = Pin::new(body.as_mut()).poll_frame(cx)
        {
            let data = frame.transpose()?.and_then(|frame| frame.into_data().ok());
            if data.is_none() || body.is_end_stream() {
                self.body = None;
            }
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                self.add(data)?;
            }
            if self.body.is_none() {
                self.end()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, data: Bytes) -> Result<(), Broken> {
        match &mut self.left {
            None => {
                self.push(format!("{:x}\r\n", data.len()).into());
                self.push(data);
                self.push(Bytes::from_static(b"\r\n"));
            }
            Some(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Broken::Length)?;
                self.push(data);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        match self.left {
            None => self.push(Bytes::from_static(b"0\r\n\r\n")),
            Some(0) => {}
            Some(_) => return Err(Broken::Length),
        }
        Ok(())
    }

    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    fn written(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.waiting.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
