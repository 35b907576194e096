//! Heads of answers that are not whole, not HTTP, or not to be trusted.

use super::{Ask, Fault};
use crate::faults::script::Step::{self, Close, Head, Listen, Repeat, Reset, Say};
use crate::faults::verdict::Verdict::Own;

pub fn all() -> Vec<Fault> {
    let cut = [
        ("part of the status line, closes", &[Head, Say("HTTP/1.1 20"), Close] as &[Step]),
        ("part of the status line, resets", &[Head, Say("HTTP/1.1 20"), Reset]),
        ("part of the head, closes", &[Head, Say("HTTP/1.1 200 OK\r\nContent-Le"), Close]),
        ("part of the head, resets", &[Head, Say("HTTP/1.1 200 OK\r\nContent-Le"), Reset]),
        ("only 100 Continue, closes", &[Head, Say("HTTP/1.1 100 Continue\r\n\r\n"), Close]),
    ];
    let silent = [
        ("part of the head, silent", &[Head, Say("HTTP/1.1 200 OK\r\nContent-Le"), Listen] as &[Step]),
        ("only 103 Early Hints, silent", &[Head, Say("HTTP/1.1 103 Early Hints\r\n\r\n"), Listen]),
    ];
    let not_http = [
        (
            "a status line without a status",
            &[Head, Say("HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), Listen] as &[Step],
        ),
        ("a status that is no number", &[Head, Say("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"), Listen]),
        ("a status of four digits", &[Head, Say("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), Listen]),
        ("the status 099", &[Head, Say("HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"), Listen]),
        ("HTTP/0.9", &[Head, Say("<html>hello</html>\r\n"), Close]),
        ("the version 2.0", &[Head, Say("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), Listen]),
        ("another protocol", &[Head, Say("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Listen]),
        ("HTTP/2 frames", &[Head, Say("\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0"), Listen]),
        ("an HTTP/2 preface", &[Head, Say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"), Listen]),
        (
            "NUL in a header",
            &[Head, Say("HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        (
            "a control character in a header",
            &[Head, Say("HTTP/1.1 200 OK\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        (
            "a bare CR in a header",
            &[Head, Say("HTTP/1.1 200 OK\r\nX-Bad: a\rX-Worse: b\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        ("NUL in the reason phrase", &[Head, Say("HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"), Listen]),
        (
            "a folded header",
            &[Head, Say("HTTP/1.1 200 OK\r\nX-Bad: a\r\n b\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        (
            "a header without a colon",
            &[Head, Say("HTTP/1.1 200 OK\r\nX-Bad\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        (
            "a space before a colon",
            &[Head, Say("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nHELLO"), Listen],
        ),
        (
            "a header without a name",
            &[Head, Say("HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n"), Listen],
        ),
        (
            "a header larger than any buffer",
            &[
                Head,
                Say("HTTP/1.1 200 OK\r\nX-Large: "),
                Repeat("0123456789abcdef", 64 << 10),
                Say("\r\nContent-Length: 0\r\n\r\n"),
                Listen,
            ],
        ),
        ("headers without an end", &[Head, Say("HTTP/1.1 200 OK\r\n"), Repeat("X: y\r\n", 200_000), Listen]),
        (
            "a thousand headers",
            &[
                Head,
                Say("HTTP/1.1 200 OK\r\n"),
                Repeat("X: y\r\n", 1000),
                Say("Content-Length: 0\r\n\r\n"),
                Listen,
            ],
        ),
        (
            "101 that nobody asked for",
            &[
                Head,
                Say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
                Listen,
            ],
        ),
    ];
    let fault = |name: &'static str, script| Fault::new(name, Ask::Get, script, Own(502));
    let cut =
        cut.map(|(name, script)| fault(name, script).because("closed the connection without an answer"));
    let silent = silent.map(|(name, script)| Fault::new(name, Ask::Get, script, Own(504)).impatiently());
    let not_http = not_http.map(|(name, script)| fault(name, script));
    cut.into_iter().chain(silent).chain(not_http).collect()
}
