//! Bodies of answers that break off, or whose framing breaks.

use super::{Ask, Fault};
use crate::faults::script::Step::{self, ClientHasHead, Close, Head, Listen, Repeat, Reset, Say};
use crate::faults::verdict::Verdict::Broken;

const SIZED: Step = Say("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
const CHUNKED: Step = Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");

pub fn all() -> Vec<Fault> {
    let broken = [
        ("closes after the head", &[Head, SIZED, ClientHasHead, Close] as &[Step]),
        ("resets after the head", &[Head, SIZED, ClientHasHead, Reset]),
        ("closes after the head, chunked", &[Head, CHUNKED, ClientHasHead, Close]),
        ("resets after the head, chunked", &[Head, CHUNKED, ClientHasHead, Reset]),
        ("closes within the body", &[Head, SIZED, Say("first"), ClientHasHead, Close]),
        ("resets within the body", &[Head, SIZED, Say("first"), ClientHasHead, Reset]),
        ("closes between chunks", &[Head, CHUNKED, Say("5\r\nfirst\r\n"), ClientHasHead, Close]),
        ("resets between chunks", &[Head, CHUNKED, Say("5\r\nfirst\r\n"), ClientHasHead, Reset]),
        ("closes within a chunk", &[Head, CHUNKED, Say("C\r\nfirst"), ClientHasHead, Close]),
        ("closes within a chunk's size", &[Head, CHUNKED, Say("5\r\nfirst\r\n1"), ClientHasHead, Close]),
        ("closes within the last chunk", &[Head, CHUNKED, Say("5\r\nfirst\r\n0\r\n"), ClientHasHead, Close]),
        ("one byte too few", &[Head, SIZED, Say("first secon"), ClientHasHead, Close]),
        ("no byte of a large body", &[Head, LARGE, ClientHasHead, Close]),
        (
            "a mebibyte of a large body",
            &[Head, LARGE, Repeat("0123456789abcdef", 64 << 10), ClientHasHead, Close],
        ),
        (
            "HTTP/1.0 with too few bytes",
            &[Head, Say("HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nfirst"), ClientHasHead, Close],
        ),
        (
            "a chunk size that is no number",
            &[Head, CHUNKED, ClientHasHead, Say("5\r\nfirst\r\nZ\r\n"), Listen],
        ),
        ("a negative chunk size", &[Head, CHUNKED, ClientHasHead, Say("5\r\nfirst\r\n-1\r\n"), Listen]),
        (
            "a chunk size beyond 64 bits",
            &[Head, CHUNKED, ClientHasHead, Say("5\r\nfirst\r\nFFFFFFFFFFFFFFFFF\r\n"), Listen],
        ),
        (
            "a chunk without its line end",
            &[Head, CHUNKED, ClientHasHead, Say("5\r\nfirst5\r\nfirst\r\n"), Listen],
        ),
        (
            "trailers without an end",
            &[
                Head,
                CHUNKED,
                ClientHasHead,
                Say("5\r\nfirst\r\n0\r\n"),
                Repeat("X-Trailer: 0123456789abcdef\r\n", 8000),
                Listen,
            ],
        ),
        (
            "a chunk extension without an end",
            &[Head, CHUNKED, ClientHasHead, Say("5;"), Repeat("0123456789abcdef", 8000), Listen],
        ),
    ];
    let stalled = [
        ("stalls after the head", &[Head, SIZED, Listen] as &[Step]),
        ("stalls within the body", &[Head, SIZED, Say("first"), Listen]),
        ("stalls within a chunk", &[Head, CHUNKED, Say("C\r\nfirst"), Listen]),
        ("stalls before the last chunk", &[Head, CHUNKED, Say("5\r\nfirst\r\n"), Listen]),
    ];
    let fault = |(name, script)| Fault::new(name, Ask::Get, script, Broken);
    let stalled = stalled.map(fault).map(Fault::impatiently);
    broken.map(fault).into_iter().chain(stalled).collect()
}

const LARGE: Step = Say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
