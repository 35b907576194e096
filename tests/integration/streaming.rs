//! Bodies are forwarded while they arrive, keep their framing, and never look complete when they
//! are not.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{self, Client, authorized};
use crate::harness::http2;
use crate::harness::recorder::{Recorder, State};
use crate::harness::strict::Framing;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn recorded() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    (recorder, tidegate)
}

/// A chunk in HTTP/1.1 framing.
fn chunk(data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:X}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[test]
fn a_chunked_push_reaches_the_registry_while_the_client_still_sends_and_stays_chunked() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Transfer-Encoding: chunked"]));
    client.send(chunk(b"first"));
    recorder.wait_for("the first bytes", |seen| seen.body == b"first" && seen.state == State::Running);
    client.send(chunk(b" second"));
    recorder.wait_for("the next bytes", |seen| seen.body == b"first second" && seen.state == State::Running);
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response(false).unwrap().status, 200);
    let seen = recorder.wait_for("the end", |seen| seen.state == State::Complete);
    assert_eq!((seen.head.framing, seen.body.as_slice()), (Framing::Chunked, &b"first second"[..]));
}

#[test]
fn a_push_with_a_length_streams_too_and_keeps_it() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PUT {UPLOAD}?digest=sha256:aa"), &[AUTH, "Content-Length: 12"]));
    client.send(b"first");
    recorder.wait_for("the first bytes", |seen| seen.body == b"first" && seen.state == State::Running);
    client.send(b" second");
    assert_eq!(client.response(false).unwrap().status, 200);
    let seen = recorder.wait_for("the end", |seen| seen.state == State::Complete);
    assert_eq!((seen.head.framing, seen.body.as_slice()), (Framing::Length(12), &b"first second"[..]));
    assert_eq!(seen.head.target, format!("{UPLOAD}?digest=sha256:aa"));
}

#[test]
fn a_push_over_http2_streams_and_keeps_its_length_when_it_has_one() {
    for (length, framing) in [(None, Framing::Chunked), (Some("content-length: 12"), Framing::Length(12))] {
        let (recorder, tidegate) = recorded();
        let mut client = http2::Client::connect(&tidegate);
        let fields: Vec<&str> = [AUTH].into_iter().chain(length).collect();
        let (answer, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &fields), false);
        client.data(&mut upload, b"first", false).unwrap();
        recorder.wait_for("the first bytes", |seen| seen.body == b"first" && seen.state == State::Running);
        client.data(&mut upload, b" second", true).unwrap();
        assert_eq!(client.answer(answer).unwrap().status(), 200);
        let seen = recorder.wait_for("the end", |seen| seen.state == State::Complete);
        assert_eq!((seen.head.framing, seen.body.as_slice()), (framing, &b"first second"[..]));
    }
}

#[test]
fn expect_100_continue_is_answered_by_tidegate_and_not_forwarded() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    client
        .send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Expect: 100-continue", "Content-Length: 5"]));
    assert_eq!(client.head_only().unwrap().0, 100);
    client.send(b"HELLO");
    assert_eq!(client.response(false).unwrap().status, 200);
    let seen = recorder.wait_for("the request", |seen| seen.state == State::Complete);
    assert!(seen.all("Expect").is_empty());
}

#[test]
fn a_truncated_push_never_looks_whole_to_the_registry() {
    let beginnings = [
        ("Content-Length: 12", b"first".to_vec()),
        ("Transfer-Encoding: chunked", chunk(b"first")),
        ("Transfer-Encoding: chunked", b"C\r\nfirst".to_vec()),
    ];
    for orderly in [true, false] {
        for (framing, beginning) in &beginnings {
            let (recorder, tidegate) = recorded();
            let mut client = Client::connect(&tidegate);
            client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, framing]));
            client.send(beginning);
            recorder.wait_for("the first bytes", |seen| seen.body == b"first");
            if orderly {
                client.tls.finish();
            }
            drop(client);
            recorder.wait_for("the end of the connection", |seen| seen.state == State::Truncated);
            tidegate.access.wait_for("the side that cut it", |line| line.contains(r#""cut":"client""#));
        }
    }
}

#[test]
fn a_push_that_the_client_resets_over_http2_never_looks_whole_to_the_registry() {
    for length in [None, Some("content-length: 12")] {
        let (recorder, tidegate) = recorded();
        let mut client = http2::Client::connect(&tidegate);
        let fields: Vec<&str> = [AUTH].into_iter().chain(length).collect();
        let (_answer, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &fields), false);
        client.data(&mut upload, b"first", false).unwrap();
        recorder.wait_for("the first bytes", |seen| seen.body == b"first");
        upload.send_reset(h2::Reason::CANCEL);
        recorder.wait_for("the end of the connection", |seen| seen.state == State::Truncated);

        let (_answer, mut upload) = client.send(http2::request("PUT", "localhost", UPLOAD, &fields), false);
        client.data(&mut upload, b"next", false).unwrap();
        recorder.wait_for("the next bytes", |seen| seen.body == b"next");
        drop(client);
        recorder.wait_for("the end with the connection", |seen| {
            seen.state == State::Truncated && seen.body == b"next"
        });
    }
}

/// A registry that answers with `head`, then with the pieces that the test sends, until the test
/// drops the sender.
fn gated(head: &str) -> (Fake, Sender<Vec<u8>>) {
    let (sender, pieces) = channel::<Vec<u8>>();
    let (head, pieces) = (head.to_owned(), Mutex::new(pieces));
    let fake = Fake::start(move |conversation| {
        if conversation.read_head().is_some() && conversation.write(head.as_bytes()) {
            for piece in pieces.lock().unwrap().iter() {
                if !conversation.write(&piece) {
                    return;
                }
            }
        }
    });
    (fake, sender)
}

#[test]
fn a_pull_reaches_the_client_while_the_registry_still_sends() {
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for head in heads {
        let chunked = head.contains("chunked");
        let framed = |data: &[u8]| if chunked { chunk(data) } else { data.to_vec() };
        let (registry, pieces) = gated(head);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let mut client = Client::connect(&tidegate);
        client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
        pieces.send(framed(b"first")).unwrap();
        let (status, fields) = client.head_only().unwrap();
        assert_eq!(status, 200);
        let has =
            |name: &str, value: &str| fields.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value);
        assert_eq!(has("Transfer-Encoding", "chunked"), chunked);
        assert_eq!(has("Content-Length", "12"), !chunked);
        assert_eq!(client.exactly(framed(b"first").len()).0, framed(b"first"));
        pieces.send(framed(b" second")).unwrap();
        if chunked {
            pieces.send(b"0\r\n\r\n".to_vec()).unwrap();
        }
        assert_eq!(client.exactly(framed(b" second").len()).0, framed(b" second"));
    }
}

#[test]
fn a_pull_over_http2_streams_too() {
    let (registry, pieces) = gated("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = http2::Client::connect(&tidegate);
    let (answer, _) = client.send(http2::request("GET", "localhost", BLOB, &[AUTH]), true);
    pieces.send(b"first".to_vec()).unwrap();
    let answer = client.head(answer).unwrap();
    assert_eq!(answer.headers()["content-length"], "12");
    let mut body = answer.into_body();
    assert_eq!(client.some(&mut body).unwrap().unwrap(), "first");
    pieces.send(b" second".to_vec()).unwrap();
    assert_eq!(client.some(&mut body).unwrap().unwrap(), " second");
    assert!(client.some(&mut body).is_none());
}

#[test]
fn a_truncated_pull_never_looks_whole_to_the_client() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nC\r\nfirst",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nZ\r\n",
    ];
    for answer in answers {
        for reset in [false, true] {
            let registry = Fake::start(move |conversation: &mut Conversation| {
                conversation.read_head();
                conversation.write(answer.as_bytes());
                if reset {
                    conversation.reset();
                }
            });
            let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
            let mut client = Client::connect(&tidegate);
            client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
            // The end may overtake the head. Then the answer is a 502, or nothing arrives.
            match client.response(false) {
                Ok(response) if response.status == 502 => {}
                Ok(response) => {
                    assert!(!response.complete, "{answer:?} looks whole: {:?}", response.text());
                    assert!(client.ends(), "the connection goes on after a truncated body");
                }
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
            }
            let mut client = http2::Client::connect(&tidegate);
            let (answer, _) = client.send(http2::request("GET", "localhost", BLOB, &[AUTH]), true);
            match client.answer(answer) {
                Ok(answer) if answer.status() == 502 => {}
                Ok(answer) => assert!(answer.end.is_err(), "{:?} looks whole over HTTP/2", answer.body),
                // The stream's reset may overtake the head as well.
                Err(error) => assert!(error.is_reset(), "{error}"),
            }
            if !reset {
                tidegate.access.wait_for("the side that cut it", |line| line.contains(r#""cut":"upstream""#));
            }
        }
    }
}

#[test]
fn an_answer_with_doubtful_framing_is_a_bad_gateway() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: -5\r\n",
    ] {
        let registry = Fake::scripted(format!("HTTP/1.1 200 OK\r\n{fields}\r\nHELLO"), true);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let response = Client::connect(&tidegate).exchange(&format!("GET {BLOB}"), &[AUTH]);
        assert_eq!(response.status, 502, "{fields:?}");
    }
}

#[test]
fn an_unrequested_protocol_switch_is_a_bad_gateway() {
    let registry = Fake::scripted(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        false,
    );
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&authorized()]).status, 502);
}

#[test]
fn bytes_after_an_answer_do_not_answer_the_next_request() {
    let first = Mutex::new(true);
    let registry = Fake::start(move |conversation| {
        while conversation.read_head().is_some() {
            // In one piece: bytes that arrive after the next request are its answer for every
            // reader.
            let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec();
            if std::mem::take(&mut *first.lock().unwrap()) {
                answer.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
            }
            conversation.write(&answer);
        }
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    for _ in 0..5 {
        let response = client.exchange("GET /v2/", &[AUTH]);
        assert_eq!((response.status, response.text().as_str()), (200, "{}"));
    }
}

#[test]
fn an_answer_that_comes_while_the_push_still_runs_is_passed_on_at_once() {
    let registry = Fake::start(|conversation| {
        conversation.read_head();
        conversation.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull");
        while conversation.read_some().is_some() {}
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 1000000"]));
    client.send(b"first");
    let response = client.response(false).unwrap();
    assert_eq!((response.status, response.text().as_str(), response.complete), (413, "full", true));
    assert!(client.ends(), "the rest of the body is read as another request");

    let mut client = http2::Client::connect(&tidegate);
    let (answer, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &[AUTH]), false);
    client.data(&mut upload, b"first", false).unwrap();
    let answer = client.answer(answer).unwrap();
    assert_eq!((answer.status(), answer.body.as_slice()), (413, &b"full"[..]));
    assert!(answer.end.is_ok());
}

#[test]
fn when_the_client_leaves_a_pull_the_registry_connection_is_closed() {
    let (gone, told) = channel::<()>();
    let gone = Mutex::new(gone);
    let registry = Fake::start(move |conversation| {
        if conversation.read_head().is_none() {
            return;
        }
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nfirst");
        while conversation.read_some().is_some() {}
        let _ = gone.lock().unwrap().send(());
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert_eq!(client.head_only().unwrap().0, 200);
    drop(client);
    told.recv_timeout(crate::harness::DEADLINE).expect("the upstream connection ends");
}

/// The peak memory of the process, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_large_push_and_a_large_pull_take_no_memory_and_no_disk() {
    const SIZE: usize = 128 << 20;
    let piece = vec![7; 1 << 20];
    let (recorder, tidegate) = recorded();
    tidegate.forbid_files();
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Transfer-Encoding: chunked"]));
    for _ in 0..SIZE / piece.len() {
        client.send(chunk(&piece));
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response(false).unwrap().status, 200);
    recorder.wait_for("all of it", |seen| seen.received == SIZE as u64 && seen.state == State::Complete);
    assert!(peak_memory(tidegate.pid()) < 64 << 10, "{} KiB", peak_memory(tidegate.pid()));

    let registry = Fake::start(move |conversation| {
        conversation.read_head();
        conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes());
        for _ in 0..SIZE / (1 << 20) {
            conversation.write(&[7; 1 << 20]);
        }
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    client.head_only().unwrap();
    let mut received = 0;
    while received < SIZE {
        let piece = client.some();
        assert!(!piece.is_empty(), "the pull ends after {received} bytes");
        received += piece.len();
    }
    assert!(peak_memory(tidegate.pid()) < 64 << 10, "{} KiB", peak_memory(tidegate.pid()));
}

#[test]
fn a_registry_that_stops_reading_stops_the_client_and_fills_no_memory() {
    let registry = Fake::start(|conversation| {
        conversation.read_head();
        conversation.wait_for_end();
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    // A blocked rustls stream also tries to read before it gives up.
    let patience = Some(std::time::Duration::from_secs(1));
    client.tls.socket().set_write_timeout(patience).unwrap();
    client.tls.socket().set_read_timeout(patience).unwrap();
    let mut sent = 0;
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 10000000000"]));
    while client.tls.send(&[7; 1 << 20]).is_ok() {
        sent += 1 << 20;
        assert!(sent < 48 << 20, "tidegate took {sent} bytes that the registry never read");
    }
    assert!(peak_memory(tidegate.pid()) < 64 << 10, "{} KiB", peak_memory(tidegate.pid()));
}
