//! Faults while a request's body is on its way.

use super::{Ask, Beside, Fault};
use crate::faults::script::Step::{self, ClientHasHead, Close, Head, Ignore, Listen, Read, Reset, Say};
use crate::faults::verdict::Verdict::{Broken, Own, Whole};

pub fn all() -> Vec<Fault> {
    let answered = [
        (
            "401 before the body, then reads on",
            401,
            "nope",
            &[Head, Say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope"), Listen] as &[Step],
        ),
        (
            "401 before the body, then closes",
            401,
            "nope",
            &[Head, Say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope"), ClientHasHead, Close],
        ),
        (
            "413 before the body, then reads on",
            413,
            "full",
            &[Head, Say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull"), Listen],
        ),
        (
            "413 before the body, then reads nothing",
            413,
            "full",
            &[
                Head,
                Say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull"),
                Ignore,
            ],
        ),
        (
            "500 within the body, then reads on",
            500,
            "oops",
            &[
                Head,
                Read(1000),
                Say("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"),
                Listen,
            ],
        ),
        (
            "500 within the body, then closes",
            500,
            "oops",
            &[
                Head,
                Read(1000),
                Say("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"),
                ClientHasHead,
                Close,
            ],
        ),
        (
            "503 within the body, then closes",
            503,
            "busy",
            &[
                Head,
                Read(1000),
                Say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"),
                ClientHasHead,
                Close,
            ],
        ),
    ];
    let died = [
        ("closes within an upload", &[Head, Read(1000), Close] as &[Step]),
        ("resets within an upload", &[Head, Read(1000), Reset]),
        ("closes in a head within an upload", &[Head, Read(1000), Say("HTTP/1.1 201 Cre"), Close]),
    ];
    let torn = [
        (
            "closes in its answer within an upload",
            &[
                Head,
                Read(1000),
                Say("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst"),
                ClientHasHead,
                Close,
            ] as &[Step],
        ),
        (
            "resets in its answer within an upload",
            &[
                Head,
                Read(1000),
                Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
                ClientHasHead,
                Reset,
            ],
        ),
    ];
    let answered = answered
        .map(|(name, status, body, script)| Fault::new(name, Ask::PushBegun, script, Whole(status, body)));
    let died = died.map(|(name, script)| Fault::new(name, Ask::PushBegun, script, Own(502)));
    let torn = torn.map(|(name, script)| Fault::new(name, Ask::PushBegun, script, Broken));
    let silent = [
        Fault::new("silent after an upload", Ask::SmallPush, &[Head, Read(1000), Listen], Own(504))
            .impatiently(),
        Fault::new("closes after an upload", Ask::SmallPush, &[Head, Read(1000), Close], Own(502)),
        Fault::new("accepts an upload and closes", Ask::PushBegun, &[Close], Own(502)).beside(Beside::Either),
    ];
    answered.into_iter().chain(died).chain(torn).chain(silent).collect()
}
