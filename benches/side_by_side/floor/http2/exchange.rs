//! A request with its answer.

use std::io::{self, ErrorKind};
use std::ops::Range;

use super::frame::{DATA, END_HEADERS, END_STREAM, Frame, HEADER, HEADERS, whole};
use super::hpack::{Answer, Request};
use crate::floor::key::{CONTENT, Key};

pub struct Exchange {
    pub stream: u32,
    /// The head of the request, until the upstream gets it.
    pub request: Vec<u8>,
    /// Whether the answer has no body.
    is_head: bool,
    /// What the client allows.
    pub window: i64,
    /// What has not arrived of the body. None before the head of the answer.
    pub left: Option<usize>,
}

impl Exchange {
    pub fn new(stream: u32, request: &Request, chunked: bool, window: i64) -> Exchange {
        let is_head = request.method == b"HEAD";
        Exchange { stream, request: request.head(chunked), is_head, window, left: None }
    }

    /// Seals what has arrived, which stands behind room for the header of a frame. Returns the
    /// lengths of the body and of the records.
    pub fn answer(
        &mut self,
        plain: &mut [u8],
        arrived: usize,
        key: &mut Key,
        sealed: &mut [u8],
    ) -> io::Result<(usize, usize)> {
        let mut body = HEADER..HEADER + arrived;
        let head = if self.left.is_none() { self.head(plain, &mut body)? } else { Vec::new() };
        let length = body.len();
        self.left = Some(self.left.unwrap_or_default().checked_sub(length).ok_or(ErrorKind::InvalidData)?);
        self.window -= length as i64;
        if length == 0 {
            return Ok((0, key.seal(&head, sealed)?));
        }
        // The head of the answer over HTTP/1.1, which was there, is longer.
        let start = (body.start - HEADER).checked_sub(head.len()).ok_or(ErrorKind::InvalidData)?;
        plain[start..][..head.len()].copy_from_slice(&head);
        Ok((length, self.seal(plain, start, body, key, sealed)?))
    }

    /// Seals a body in DATA frames, together with what stands before it. Each record has one.
    fn seal(
        &self,
        plain: &mut [u8],
        mut start: usize,
        mut body: Range<usize>,
        key: &mut Key,
        sealed: &mut [u8],
    ) -> io::Result<usize> {
        let mut length = 0;
        while !body.is_empty() {
            let end = body.end.min(start + CONTENT);
            let flags = if end == body.end && self.left == Some(0) { END_STREAM } else { 0 };
            let data = Frame { length: end - body.start, kind: DATA, flags, stream: self.stream };
            // Where the frame before ended, which is sealed.
            plain[body.start - HEADER..body.start].copy_from_slice(&data.header());
            length += key.seal(&plain[start..end], &mut sealed[length..])?;
            (start, body.start) = (end - HEADER, end);
        }
        Ok(length)
    }

    /// Takes the head from what has arrived, and returns it as a frame.
    fn head(&mut self, plain: &[u8], arrived: &mut Range<usize>) -> io::Result<Vec<u8>> {
        let answer = Answer::read(&plain[arrived.clone()])?;
        arrived.start += answer.bytes;
        let left = if self.is_head { 0 } else { answer.body };
        self.left = Some(left);
        let flags = if left == 0 { END_HEADERS | END_STREAM } else { END_HEADERS };
        Ok(whole(HEADERS, flags, self.stream, &answer.block))
    }
}
