//! Raw HTTP/2 frames: enough to send what no client library would, and to read the answers.

use std::io;

use super::tls::Tls;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
        Frame { kind, flags, stream, payload: payload.to_vec() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// Removes the first frame from `bytes` if it is complete.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Frame> {
        let (head, rest) = bytes.split_at_checked(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let frame = Frame::new(head[3], head[4], stream, rest.get(..length)?);
        bytes.drain(..9 + length);
        Some(frame)
    }

    pub fn ends_stream(&self) -> bool {
        (self.kind == DATA || self.kind == HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A request head in one frame, in literals without indexing (RFC 7541 section 6.2.2).
pub fn head(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Frame {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short field"));
            block.extend(text.bytes());
        }
    }
    Frame::new(HEADERS, flags | END_HEADERS, stream, &block)
}

/// The frames of a connection, one by one.
pub struct Frames {
    pub tls: Tls,
    buffer: Vec<u8>,
}

impl Frames {
    pub fn over(tls: Tls) -> Frames {
        Frames { tls, buffer: Vec::new() }
    }

    /// The next frame, or `None` at the end of the connection. `WouldBlock` when none arrives in
    /// time.
    pub fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Ok(Some(frame));
            }
            let mut buffer = [0; 16 * 1024];
            match self.tls.receive(&mut buffer)? {
                0 => return Ok(None),
                read => self.buffer.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// The frames of one stream, up to the one that ends or resets it.
    pub fn of_stream(&mut self, stream: u32) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        while !frames.last().is_some_and(|last| last.ends_stream() || last.kind == RST_STREAM) {
            let frame = self.next().unwrap().expect("the stream ends before its connection");
            if frame.stream == stream {
                frames.push(frame);
            }
        }
        frames
    }
}

/// The `:status` in the HEADERS frame of an answer (RFC 7541). It must be the first on its
/// connection, so that it can only refer to the static table.
pub fn first_status(headers: &Frame) -> Option<u16> {
    const PADDED: u8 = 0x8;
    const PRIORITY: u8 = 0x20;
    let mut block = headers.payload.as_slice();
    if headers.flags & PADDED != 0 {
        block = block.get(1..)?;
    }
    if headers.flags & PRIORITY != 0 {
        block = block.get(5..)?;
    }
    while block.first()? & 0xe0 == 0x20 {
        block = block.get(1 + size_update_length(block)..)?;
    }
    match *block.first()? {
        indexed @ 0x88..=0x8e => {
            [200, 204, 206, 304, 400, 404, 500].get(usize::from(indexed - 0x88)).copied()
        }
        // A literal whose name is one of the static entries 8 to 14, which are all `:status`.
        0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e => literal_status(block.get(1..)?),
        _ => None,
    }
}

fn size_update_length(block: &[u8]) -> usize {
    if block[0] & 0x1f < 0x1f {
        0
    } else {
        1 + block[1..].iter().take_while(|byte| **byte & 0x80 != 0).count()
    }
}

fn literal_status(value: &[u8]) -> Option<u16> {
    let length = usize::from(value.first()? & 0x7f);
    let bytes = value.get(1..1 + length)?;
    if value[0] & 0x80 == 0 { std::str::from_utf8(bytes).ok()?.parse().ok() } else { huffman_digits(bytes) }
}

/// Decodes three digits with the Huffman code of RFC 7541, Appendix B: 0 to 2 take five bits, 3 to
/// 9 six.
fn huffman_digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u16> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |number, bit| number << 1 | bit);
    let mut rest = bits.as_slice();
    let mut status = 0;
    for _ in 0..3 {
        let short = number(rest.get(..5)?);
        let (digit, length) =
            if short <= 2 { (short, 5) } else { (number(rest.get(..6)?).checked_sub(0x16)?, 6) };
        if digit > 9 {
            return None;
        }
        status = status * 10 + digit;
        rest = &rest[length..];
    }
    Some(status)
}

#[test]
fn a_status_is_read_in_every_form_a_server_may_choose() {
    let status = |block: &[u8]| first_status(&Frame::new(HEADERS, 4, 1, block));
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(&[0x8d]), Some(404));
    assert_eq!(status(&[0x48, 0x03, b'4', b'0', b'1']), Some(401));
    assert_eq!(status(&[0x08, 0x03, b'5', b'0', b'2']), Some(502));
    // 302 from RFC 7541, C.6.1: 64 02
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    // 307 from RFC 7541, C.6.2: 64 0e ff
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    assert_eq!(status(&[0x20, 0x88]), Some(200));
    assert_eq!(status(&[0x3f, 0xe1, 0x1f, 0x8c]), Some(400));
}
