//! A request that two readers could understand differently is refused, or rewritten so that they
//! cannot.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::http1::{Client, head};
use crate::harness::http2;
use crate::harness::recorder::{Recorder, State};
use crate::harness::strict::Framing;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const START: &str = "/v2/a/blobs/uploads/";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";

fn recorded() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    (recorder, tidegate)
}

#[test]
fn a_content_length_with_leading_zeros_reaches_the_registry_without_them() {
    let (recorder, tidegate) = recorded();
    for (length, line, body) in [
        ("005", format!("PATCH {UPLOAD}"), "HELLO"),
        ("000", format!("POST {START}"), ""),
        ("0000000000000000000000005", format!("PATCH {UPLOAD}"), "HELLO"),
    ] {
        let mut client = Client::connect(&tidegate);
        client.send(head(&line, &[AUTH, &format!("Content-Length: {length}")]));
        client.send(body);
        let status = client.response(false).unwrap().status;
        let record = recorder.settle().unwrap();
        assert!(record.faults.is_empty(), "{length}: {:?}", record.faults);
        // A number this long may be refused, but must not be forwarded.
        if status == 400 && length.len() > 20 {
            assert!(record.requests.is_empty(), "{record:#?}");
            continue;
        }
        assert_eq!(status, 200, "{length}");
        let [seen] = &record.requests[..] else { panic!("{record:#?}") };
        assert_eq!(seen.all("Content-Length"), [body.len().to_string()]);
        assert_eq!((seen.body.as_slice(), seen.state), (body.as_bytes(), State::Complete));
    }

    let mut client = http2::Client::connect(&tidegate);
    for (length, body) in [("05", "HELLO"), ("00", "")] {
        let fields = [AUTH, &format!("content-length: {length}")];
        let (answer, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &fields), false);
        client.data(&mut upload, body.as_bytes(), true).unwrap();
        assert_eq!(client.answer(answer).unwrap().status(), 200, "{length}");
        let record = recorder.settle().unwrap();
        assert!(record.faults.is_empty(), "{length}: {:?}", record.faults);
        let [seen] = &record.requests[..] else { panic!("{record:#?}") };
        assert_eq!((seen.head.framing, seen.body.len()), (Framing::Length(body.len() as u64), body.len()));
    }
}

#[test]
fn nothing_is_read_after_a_request_whose_path_is_in_doubt() {
    let (recorder, tidegate) = recorded();
    for target in ["/v2/%2e%2e/x", "/v2/a%2fb/tags/list", "/v2//_catalog", "/v2/a\\b", "/v2/?n=%zz"] {
        let mut client = Client::connect(&tidegate);
        let doubtful = head(&format!("GET {target}"), &[AUTH]);
        let second = head("GET /v2/second", &[AUTH]);
        client.send(doubtful + &second);
        let response = client.response(false).unwrap();
        assert_eq!(response.status, 400, "{target}");
        assert_eq!(response.all("Connection"), ["close"], "{target}");
        assert!(client.ends(), "{target}: the second request gets an answer");
    }
    assert!(recorder.record().requests.is_empty(), "{:#?}", recorder.record());
}

#[test]
fn a_host_with_an_empty_port_is_accepted() {
    let (recorder, tidegate) = recorded();
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, "Host: localhost:"]);
    assert_eq!(response.status, 200);
    let named = Settings::for_upstream(&recorder.url()).set("server.names", r#"["localhost"]"#);
    let tidegate = Tidegate::start(named);
    for host in ["localhost:", "LOCALHOST:", "localhost:443"] {
        let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, &format!("Host: {host}")]);
        assert_eq!(response.status, 200, "{host}");
    }
    assert_eq!(recorder.settle().unwrap().requests.len(), 4);
}

#[test]
fn a_single_valued_field_must_not_appear_twice() {
    let (recorder, tidegate) = recorded();
    for twice in [
        ["Content-Type: application/json", "Content-Type: text/plain"],
        ["User-Agent: curl/8", "User-Agent: curl/8"],
        // The user agent rules must not see one value and the registry another.
        ["User-Agent: docker/24", "User-Agent: docker/1.4.0"],
        ["User-Agent: docker/1.4.0", "User-Agent: docker/24"],
    ] {
        let fields = [AUTH, twice[0], twice[1]];
        let response = Client::connect(&tidegate).exchange("GET /v2/", &fields);
        assert_eq!(response.status, 400, "{twice:?}");
        let mut client = http2::Client::connect(&tidegate);
        let answer = client.exchange(http2::request("GET", "localhost", "/v2/", &fields));
        assert_eq!(answer.status(), 400, "{twice:?} over HTTP/2");
    }
    assert!(recorder.record().requests.is_empty(), "{:#?}", recorder.record());
}

/// The client's rest of the body is discarded for a while, so that it receives the answer.
#[test]
fn the_rest_of_a_body_that_was_refused_early_is_never_read_as_a_request() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    client.send(head(&format!("PATCH {UPLOAD}"), &["Content-Length: 1000000"]));
    client.send("the beginning");
    assert_eq!(client.response(false).unwrap().status, 401);
    let hidden = head("GET /v2/hidden/tags/list", &[AUTH]);
    let begin = Instant::now();
    let mut sent = 0;
    // In pieces with pauses, because a connection without a request rests after 20 ms.
    while client.tls.send(hidden.as_bytes()).is_ok() {
        sent += 1;
        assert!(begin.elapsed() < DEADLINE, "the connection is never closed");
        sleep(Duration::from_millis(30));
    }
    let record = recorder.settle().unwrap();
    assert!(record.requests.is_empty(), "{:#?}", record.requests);
    assert!(begin.elapsed() > Duration::from_secs(1), "closed after {sent} pieces, {:?}", begin.elapsed());
}
