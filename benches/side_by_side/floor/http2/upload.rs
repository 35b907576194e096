//! A body that the client sends.

use super::frame::{END_STREAM, Frame, WIDEST, window_update};
use super::gap::Gap;

pub struct Upload {
    pub stream: u32,
    /// Whether the upstream gets chunks. Each begins with the end of the line before it.
    chunked: bool,
    received: Received,
    /// What has not arrived of a DATA frame, and whether it is the last one.
    left: usize,
    last: bool,
}

/// What the client has used of a window.
#[derive(Default)]
pub struct Received(u32);

impl Upload {
    pub fn new(stream: u32, chunked: bool) -> Upload {
        Upload { stream, chunked, received: Received::default(), left: 0, last: false }
    }

    /// Begins a DATA frame. Returns a WINDOW_UPDATE if it is due.
    pub fn begin(&mut self, frame: Frame, gap: &mut Gap<'_>) -> Vec<u8> {
        (self.left, self.last) = (frame.length, frame.has(END_STREAM));
        if self.chunked && self.left > 0 {
            gap.insert(format!("\r\n{:x}\r\n", self.left).as_bytes());
        }
        self.received.add(frame.length, self.stream)
    }

    /// Passes on what has arrived of a DATA frame. Returns whether that is the end.
    pub fn pass(&mut self, gap: &mut Gap<'_>) -> bool {
        let length = self.left.min(gap.frames().len());
        gap.pass(length);
        self.left -= length;
        let ended = self.last && self.left == 0;
        if ended && self.chunked {
            gap.insert(b"\r\n0\r\n\r\n");
        }
        ended
    }
}

impl Received {
    /// Returns a WINDOW_UPDATE if half of the window is used.
    pub fn add(&mut self, length: usize, stream: u32) -> Vec<u8> {
        self.0 += length as u32;
        if self.0 <= WIDEST / 2 {
            return Vec::new();
        }
        window_update(stream, std::mem::take(&mut self.0))
    }
}
