//! The fields of requests and answers (RFC 7541), without a dynamic table.

use std::io::{self, ErrorKind};

/// Places in the static table.
const GET: usize = 2;
const POST: usize = 3;
const ROOT: usize = 4;
const INDEX: usize = 5;
const STATUS: u8 = 8;
const AUTHORIZATION: usize = 23;
const CONTENT_LENGTH: usize = 28;
const LAST: usize = 61;

const HUFFMAN: u8 = 0x80;

/// The symbols whose codes have as many bits as the place says, in the order of their codes. All
/// that a method, a path or a length has in this bench.
const SYMBOLS: [&[u8]; 9] = [
    b"",
    b"",
    b"",
    b"",
    b"",
    b"012aceiost",
    b" %-./3456789=A_bdfghlmnpru",
    b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    b"&*,;XZ",
];

/// What a proxy has to know of a request.
#[derive(Default)]
pub struct Request {
    pub method: Vec<u8>,
    path: Vec<u8>,
    pub length: Option<Vec<u8>>,
    pub authorized: bool,
}

impl Request {
    /// From a client that knows of the dynamic table only that it is empty, or that has sent no
    /// request before.
    pub fn decode(block: &[u8]) -> io::Result<Request> {
        let mut request = Request::default();
        let mut rest = Reader(block);
        while let Some(first) = rest.0.first() {
            match first {
                0x80.. => request.set(rest.integer(7)?, None)?,
                0x20..0x40 => _ = rest.integer(5)?,
                _ => {
                    let name = rest.integer(if *first < 0x40 { 4 } else { 6 })?;
                    if name == 0 {
                        rest.string()?;
                    }
                    request.set(name, Some(rest.string()?))?;
                }
            }
        }
        Ok(request)
    }

    /// As HTTP/1.1. The first chunk begins with the last line's end.
    pub fn head(&self, chunked: bool) -> Vec<u8> {
        let mut head = [&self.method[..], b" ", &self.path, b" HTTP/1.1\r\nhost: localhost\r\n"].concat();
        if let Some(length) = &self.length {
            head.extend([b"content-length: ", &length[..], b"\r\n"].concat());
        }
        head.extend(if chunked { &b"transfer-encoding: chunked\r\n"[..] } else { b"\r\n" });
        head
    }

    /// Without a value, it is that of the static table.
    fn set(&mut self, place: usize, value: Option<Text>) -> io::Result<()> {
        match (place, value) {
            (GET, None) => self.method = b"GET".into(),
            (POST, None) => self.method = b"POST".into(),
            (ROOT, None) => self.path = b"/".into(),
            (GET | POST, Some(method)) => self.method = method.decode()?,
            (ROOT | INDEX, Some(path)) => self.path = path.decode()?,
            (CONTENT_LENGTH, Some(length)) => self.length = Some(length.decode()?),
            (AUTHORIZATION, _) => self.authorized = true,
            (0..=LAST, _) => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> io::Result<u8> {
        let (first, rest) = self.0.split_first().ok_or(ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer whose first byte has this many bits for it.
    fn integer(&mut self, bits: u32) -> io::Result<usize> {
        let most = (1 << bits) - 1;
        let mut integer = usize::from(self.byte()?) & most;
        if integer < most {
            return Ok(integer);
        }
        for shift in [0, 7, 14] {
            let byte = usize::from(self.byte()?);
            integer += (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(integer);
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

    fn string(&mut self) -> io::Result<Text<'a>> {
        let huffman = self.0.first().is_some_and(|first| first & HUFFMAN != 0);
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ErrorKind::InvalidData)?;
        self.0 = rest;
        Ok(Text { bytes, huffman })
    }
}

impl Text<'_> {
    fn decode(&self) -> io::Result<Vec<u8>> {
        if !self.huffman {
            return Ok(self.bytes.to_vec());
        }
        let mut text = Vec::with_capacity(2 * self.bytes.len());
        // Codes of one length follow each other. The first one follows the last shorter one.
        let (mut code, mut first, mut length) = (0, 0, 0);
        let bits = self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        for bit in bits {
            (code, first, length) = (code << 1 | usize::from(bit), first << 1, length + 1);
            let symbols = SYMBOLS.get(length).ok_or(ErrorKind::InvalidData)?;
            match symbols.get(code - first) {
                Some(symbol) => {
                    text.push(*symbol);
                    (code, first, length) = (0, 0, 0);
                }
                None => first += symbols.len(),
            }
        }
        Ok(text)
    }
}

/// The head of an answer over HTTP/1.1, read for HTTP/2.
pub struct Answer {
    /// How many bytes the head had.
    pub bytes: usize,
    pub body: usize,
    pub block: Vec<u8>,
}

impl Answer {
    /// All fields are passed on, and there has to be a `content-length`.
    pub fn read(bytes: &[u8]) -> io::Result<Answer> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(ErrorKind::InvalidData)?;
        let head = str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
        let (status, fields) = head.split_once("\r\n").ok_or(ErrorKind::InvalidData)?;
        let mut block = vec![STATUS];
        string(&mut block, status.get(9..12).ok_or(ErrorKind::InvalidData)?)?;
        let mut body = None;
        for field in fields.split("\r\n") {
            let (name, value) = field.split_once(": ").ok_or(ErrorKind::InvalidData)?;
            if name == "content-length" {
                body = value.parse().ok();
            }
            block.push(0);
            string(&mut block, name)?;
            string(&mut block, value)?;
        }
        Ok(Answer { bytes: end + 4, body: body.ok_or(ErrorKind::InvalidData)?, block })
    }
}

/// The block of fields that a client without a password gets.
pub fn unauthorized() -> io::Result<Vec<u8>> {
    Ok(Answer::read(b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")?
        .block)
}

fn string(block: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 0x7f);
    block.push(length.ok_or(ErrorKind::InvalidData)?);
    block.extend(text.as_bytes());
    Ok(())
}
