//! Answers whose framing is in doubt, and odd ones that are whole.

use super::{Ask, Fault};
use crate::faults::script::Step::{self, Close, Head, Listen, Repeat, Say};
use crate::faults::verdict::Verdict::{Own, Whole};

pub fn all() -> Vec<Fault> {
    let doubtful = [
        (
            "a negative length",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nHELLO"), Listen] as &[Step],
        ),
        ("a length with a sign", &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nHELLO"), Listen]),
        ("an empty length", &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nHELLO"), Listen]),
        (
            "a length in hexadecimal",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nHELLO"), Listen],
        ),
        (
            "a length beyond 64 bits",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nHELLO"), Listen],
        ),
        (
            "two different lengths",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHELLO!"), Listen],
        ),
        (
            "two different lengths in one line",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nHELLO!"), Listen],
        ),
        (
            "a length and chunks",
            &[
                Head,
                Say(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n",
                ),
                Listen,
            ],
        ),
        (
            "chunks and a length",
            &[
                Head,
                Say(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n",
                ),
                Listen,
            ],
        ),
        ("the encoding gzip", &[Head, Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nHELLO"), Close]),
        (
            "the encoding identity",
            &[Head, Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nHELLO"), Close],
        ),
        (
            "chunks within gzip",
            &[
                Head,
                Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n"),
                Close,
            ],
        ),
    ];
    let whole = [
        (
            "100 Continue before the answer",
            "HELLO",
            &[Head, Say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO")]
                as &[Step],
        ),
        (
            "103 Early Hints before the answer",
            "HELLO",
            &[
                Head,
                Say(
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO",
                ),
            ],
        ),
        (
            "a flood of 1xx before the answer",
            "HELLO",
            &[
                Head,
                Repeat("HTTP/1.1 102 Processing\r\n\r\n", 2000),
                Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"),
            ],
        ),
        (
            "more bytes than announced",
            "HELLO",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO, and more")],
        ),
        (
            "garbage after the last chunk",
            "HELLO",
            &[
                Head,
                Say(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\ngarbage\0\r\n\r\n",
                ),
            ],
        ),
        (
            "a second answer that nobody asked for",
            "HELLO",
            &[
                Head,
                Say(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLOHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
                ),
            ],
        ),
        ("HTTP/1.0 until the end", "HELLO", &[Head, Say("HTTP/1.0 200 OK\r\n\r\nHELLO"), Close]),
        (
            "the same length twice",
            "HELLO",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nHELLO")],
        ),
        (
            "drips",
            "HELLO",
            &[
                Head,
                Say("HTTP/1.1 200 OK\r\nContent-"),
                PAUSE,
                Say("Length: 5\r\n\r\nH"),
                PAUSE,
                Say("E"),
                PAUSE,
                Say("L"),
                PAUSE,
                Say("L"),
                PAUSE,
                Say("O"),
            ],
        ),
    ];
    let bodyless = [
        (
            "204 with a body",
            Ask::Get,
            204,
            &[Head, Say("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHELLO")] as &[Step],
        ),
        (
            "304 with a body",
            Ask::Get,
            304,
            &[Head, Say("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHELLO")],
        ),
        (
            "an answer to HEAD with a body",
            Ask::Head,
            200,
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO")],
        ),
        (
            "an answer to HEAD with chunks",
            Ask::Head,
            200,
            &[Head, Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n")],
        ),
    ];
    let doubtful = doubtful.map(|(name, script)| Fault::new(name, Ask::Get, script, Own(502)));
    let whole = whole.map(|(name, body, script)| Fault::new(name, Ask::Get, script, Whole(200, body)));
    let bodyless =
        bodyless.map(|(name, ask, status, script)| Fault::new(name, ask, script, Whole(status, "")));
    doubtful.into_iter().chain(whole).chain(bodyless).collect()
}

const PAUSE: Step = Step::Pause(std::time::Duration::from_millis(100));
