//! Chunked bodies of the registry (RFC 9112, section 7.1). Extensions and trailers are skipped.

use std::str;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use super::answer_head::{FIELDS, NotHttp};

/// Most bytes of all extensions of a body, and of its trailers. Beyond that the registry wants
/// nothing but our time.
const SKIPPED: usize = 16 * 1024;
/// Most bytes of a line with its end: digits, and what is skipped.
const LINE: usize = SKIPPED + 32;

/// What part of a body comes next.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    next: Next,
    skipped: usize,
}

#[derive(Debug, Default)]
enum Next {
    /// The line with the size of a chunk.
    #[default]
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end behind them.
    LineEnd,
    /// A trailer, after so many, or the end.
    Trailer(usize),
    Nothing,
}

/// What was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Data(Bytes),
    End,
    /// More has to arrive first.
    Nothing,
}

impl Chunks {
    /// Takes the next bytes of the body from the beginning of `bytes`.
    pub(super) fn take(&mut self, bytes: &mut BytesMut) -> Result<Taken, NotHttp> {
        loop {
            self.next = match self.next {
                Next::Size => match self.line(bytes)? {
                    None => return Ok(Taken::Nothing),
                    Some(line) => match self.size(&line)? {
                        0 => Next::Trailer(0),
                        size => Next::Data(size),
                    },
                },
                Next::Data(0) => Next::LineEnd,
                Next::Data(_) if bytes.is_empty() => return Ok(Taken::Nothing),
                Next::Data(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.next = Next::Data(left - length as u64);
                    return Ok(Taken::Data(bytes.split_to(length).freeze()));
                }
                Next::LineEnd => match **bytes {
                    [] | [b'\r'] => return Ok(Taken::Nothing),
                    [b'\r', b'\n', ..] => {
                        bytes.advance(2);
                        Next::Size
                    }
                    _ => return Err(NotHttp::Chunk),
                },
                Next::Trailer(before) => match self.line(bytes)? {
                    None => return Ok(Taken::Nothing),
                    Some(line) if line.is_empty() => Next::Nothing,
                    Some(_) if before == FIELDS => return Err(NotHttp::Chunk),
                    Some(line) => {
                        self.skip(line.len())?;
                        check_trailer(&line)?;
                        Next::Trailer(before + 1)
                    }
                },
                Next::Nothing => return Ok(Taken::End),
            }
        }
    }

    /// A line without its end; `None` if it is incomplete.
    fn line(&mut self, bytes: &mut BytesMut) -> Result<Option<BytesMut>, NotHttp> {
        let Some(length) = bytes.iter().take(LINE).position(|byte| *byte == b'\n') else {
            return if bytes.len() < LINE { Ok(None) } else { Err(NotHttp::Chunk) };
        };
        let mut line = bytes.split_to(length + 1);
        line.truncate(length);
        match line.split_last() {
            Some((b'\r', rest)) if !rest.contains(&b'\r') => {
                line.truncate(length - 1);
                Ok(Some(line))
            }
            _ => Err(NotHttp::Chunk),
        }
    }

    /// The size in the line before a chunk.
    fn size(&mut self, line: &[u8]) -> Result<u64, NotHttp> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at(digits);
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let first = extensions.iter().find(|byte| !is_blank(byte));
        if digits.is_empty() || first.is_some_and(|byte| *byte != b';') {
            return Err(NotHttp::Chunk);
        }
        self.skip(extensions.len())?;
        let digits = str::from_utf8(digits).map_err(|_| NotHttp::Chunk)?;
        u64::from_str_radix(digits, 16).map_err(|_| NotHttp::Chunk)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), NotHttp> {
        self.skipped += bytes;
        if self.skipped > SKIPPED { Err(NotHttp::Chunk) } else { Ok(()) }
    }
}

fn check_trailer(line: &[u8]) -> Result<(), NotHttp> {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    match (parts.next().map(HeaderName::from_bytes), parts.next().map(HeaderValue::from_bytes)) {
        (Some(Ok(_)), Some(Ok(_))) => Ok(()),
        _ => Err(NotHttp::Chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a body in pieces. Returns its data, what is left over, and whether it has ended.
    fn read(body: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>, bool), NotHttp> {
        let (mut chunks, mut bytes, mut data) = (Chunks::default(), BytesMut::new(), Vec::new());
        let mut ended = false;
        for piece in body.chunks(piece) {
            bytes.extend_from_slice(piece);
            while !ended {
                match chunks.take(&mut bytes)? {
                    Taken::Data(part) => {
                        assert!(!part.is_empty());
                        data.extend_from_slice(&part);
                    }
                    Taken::Nothing => break,
                    Taken::End => ended = true,
                }
            }
        }
        Ok((data, bytes.to_vec(), ended))
    }

    #[test]
    fn a_body_is_its_chunks_however_they_arrive() {
        let body =
            b"5\r\nhello\r\n1;name=\"value\"\r\n \r\n00A \t; x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nHTTP";
        for piece in [1, 2, 3, 7, 1000] {
            let (data, rest, ended) = read(body, piece).unwrap();
            assert_eq!(data, b"hello 0123456789");
            assert_eq!((rest.as_slice(), ended), (&b"HTTP"[..], true));
        }
    }

    #[test]
    fn a_body_without_its_end_has_not_ended() {
        for body in ["", "5", "5\r", "5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nA: b\r\n\r"] {
            let (_, _, ended) = read(body.as_bytes(), 1).unwrap();
            assert!(!ended, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1 1\r\n",
            "1\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "10000000000000000\r\n",
            "1;a\rb\r\n",
            "1\r\r\n",
            "1\u{c}\r\n",
            "1\r;x\r\n",
            "0\r\nno trailer\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nA: b\rc\r\n\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            assert_eq!(read(body.as_bytes(), 1).unwrap_err(), NotHttp::Chunk, "{body:?}");
        }
    }

    #[test]
    fn endless_lines_are_an_error() {
        let long = "x".repeat(SKIPPED + 2);
        let many = "1;xxxxxxxxxxxxxxx\r\na\r\n".repeat(SKIPPED / 16 + 1);
        let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
        let (zeros, blanks) = ("0".repeat(SKIPPED + 32), " ".repeat(SKIPPED + 1));
        for body in [
            format!("1;{long}\r\n"),
            format!("0\r\nA:{long}\r\n"),
            format!("{zeros}1\r\n"),
            format!("1{blanks}\r\n"),
            many,
            trailers,
        ] {
            for piece in [1, 1000, usize::MAX] {
                assert_eq!(read(body.as_bytes(), piece).unwrap_err(), NotHttp::Chunk);
            }
        }
    }
}
