//! A client's HTTP/2 connection. The upstream gets one request after the other.

mod exchange;
mod frame;
mod gap;
mod hpack;
mod upload;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;

use self::exchange::Exchange;
use self::frame::{Frame, LONGEST, WIDEST, WINDOW, number, setting, settings, whole, window_update};
use self::gap::Gap;
use self::hpack::{Request, unauthorized};
use self::upload::{Received, Upload};
use super::end::FROM_UPSTREAM;
use super::key::{CONTENT, Key};

pub use self::frame::HEADER;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much of a body to read at once. With the headers of its frames, it fills whole records.
const BATCH: usize = FROM_UPSTREAM / CONTENT * (CONTENT - HEADER);

pub struct Http2 {
    /// Requests without a password get a 401.
    closed: bool,
    /// What has not arrived of the client's preface.
    preface: usize,
    /// The start of a frame.
    kept: Vec<u8>,
    upload: Option<Upload>,
    received: Received,
    /// The first one is under way.
    exchanges: VecDeque<Exchange>,
    /// What the client allows for the connection, and for a stream that begins.
    window: i64,
    stream_window: i64,
    /// Frames for the client that are not from the upstream.
    replies: Vec<u8>,
}

impl Http2 {
    pub fn new(closed: bool) -> Http2 {
        // The first request may come before these settings, and no request refers to fields of its
        // own. So the client never refers to a dynamic table.
        let settings = settings(&[
            (frame::HEADER_TABLE_SIZE, 0),
            (frame::INITIAL_WINDOW_SIZE, WIDEST),
            (frame::MAX_FRAME_SIZE, LONGEST),
        ]);
        Http2 {
            closed,
            preface: PREFACE.len(),
            kept: Vec::new(),
            upload: None,
            received: Received::default(),
            exchanges: VecDeque::new(),
            window: WINDOW.into(),
            stream_window: WINDOW.into(),
            replies: [settings, window_update(0, WIDEST - WINDOW)].concat(),
        }
    }

    /// Turns what has arrived, at the start of the buffer, into what the upstream gets. Returns the
    /// length of that.
    pub fn requests(&mut self, plain: &mut [u8], arrived: usize) -> io::Result<usize> {
        let mut gap = Gap::new(plain, arrived, &mem::take(&mut self.kept));
        let preface = self.preface.min(gap.frames().len());
        self.preface -= preface;
        gap.skip(preface);
        loop {
            self.upload.take_if(|upload| upload.pass(&mut gap));
            let Some(frame) = Frame::read(gap.frames()) else { break };
            if frame.kind == frame::DATA {
                gap.skip(HEADER);
                self.data(frame, &mut gap)?;
            } else if let Some(payload) = gap.frames().get(HEADER..HEADER + frame.length) {
                self.control(frame, payload)?;
                gap.skip(HEADER + frame.length);
                gap.insert(&self.next_request());
            } else {
                break;
            }
        }
        self.kept = gap.frames().to_vec();
        Ok(gap.done())
    }

    fn data(&mut self, frame: Frame, gap: &mut Gap<'_>) -> io::Result<()> {
        let upload = self.upload.as_mut().filter(|upload| upload.stream == frame.stream);
        let (Some(upload), false) = (upload, frame.has(frame::PADDED)) else {
            return Err(ErrorKind::InvalidData.into());
        };
        self.replies.extend(upload.begin(frame, gap));
        self.replies.extend(self.received.add(frame.length, 0));
        Ok(())
    }

    fn control(&mut self, frame: Frame, payload: &[u8]) -> io::Result<()> {
        match frame.kind {
            frame::HEADERS => self.request(frame, payload)?,
            frame::SETTINGS if !frame.has(frame::ACK) => {
                if let Some(window) = setting(payload, frame::INITIAL_WINDOW_SIZE) {
                    self.stream_window = window.into();
                }
                self.replies.extend(whole(frame::SETTINGS, frame::ACK, 0, &[]));
            }
            frame::PING if !frame.has(frame::ACK) => {
                self.replies.extend(whole(frame::PING, frame::ACK, 0, payload))
            }
            frame::WINDOW_UPDATE => self.allow(frame.stream, number(payload).into()),
            frame::RST_STREAM if self.exchange(frame.stream).is_none() => {}
            frame::RST_STREAM | frame::CONTINUATION => return Err(ErrorKind::InvalidData.into()),
            _ => {}
        }
        Ok(())
    }

    fn allow(&mut self, stream: u32, more: i64) {
        if stream == 0 {
            self.window += more;
        } else if let Some(exchange) = self.exchange(stream) {
            exchange.window += more;
        }
    }

    fn exchange(&mut self, stream: u32) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|exchange| exchange.stream == stream)
    }

    /// A body has to come when nothing else is under way.
    fn request(&mut self, frame: Frame, block: &[u8]) -> io::Result<()> {
        let ends = frame.has(frame::END_STREAM);
        let busy = self.upload.is_some() || !ends && !self.exchanges.is_empty();
        if busy || !frame.has(frame::END_HEADERS) || frame.has(frame::PADDED | frame::PRIORITY) {
            return Err(ErrorKind::InvalidData.into());
        }
        let request = Request::decode(block)?;
        if self.closed && !request.authorized {
            let flags = frame::END_HEADERS | frame::END_STREAM;
            self.replies.extend(whole(frame::HEADERS, flags, frame.stream, &unauthorized()?));
            return Ok(());
        }
        let chunked = !ends && request.length.is_none();
        if !ends {
            self.upload = Some(Upload::new(frame.stream, chunked));
        }
        self.exchanges.push_back(Exchange::new(frame.stream, &request, chunked, self.stream_window));
        Ok(())
    }

    /// What the upstream gets if it has answered all other requests.
    pub fn next_request(&mut self) -> Vec<u8> {
        self.exchanges.front_mut().map(|exchange| mem::take(&mut exchange.request)).unwrap_or_default()
    }

    pub fn replies(&mut self) -> Vec<u8> {
        mem::take(&mut self.replies)
    }

    /// How much to read from the upstream, if anything is awaited and the client has room for it.
    pub fn room(&self) -> Option<usize> {
        let exchange = self.exchanges.front()?;
        let window = usize::try_from(self.window.min(exchange.window)).ok()?;
        // The head of an answer is read as a whole.
        let least = if exchange.left.is_none() { CONTENT } else { 1 };
        (window >= least).then(|| window.min(BATCH))
    }

    /// Seals what has come from the upstream, behind room for the header of a frame. Returns the
    /// length of the records.
    pub fn answer(
        &mut self,
        plain: &mut [u8],
        arrived: usize,
        key: &mut Key,
        sealed: &mut [u8],
    ) -> io::Result<usize> {
        let exchange = self.exchanges.front_mut().ok_or(ErrorKind::InvalidData)?;
        let (body, length) = exchange.answer(plain, arrived, key, sealed)?;
        self.window -= body as i64;
        self.exchanges.pop_front_if(|exchange| exchange.left == Some(0));
        Ok(length)
    }
}
