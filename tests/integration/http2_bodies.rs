//! An HTTP/2 body ends at END_STREAM, on whatever frame it is, and nowhere else.

use crate::harness::BASIC;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http2::{Answer, Client, request};
use crate::harness::recorder::{Recorder, Seen, State};
use crate::harness::strict::Framing;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const START: &str = "/v2/a/blobs/uploads/";
const MANIFEST: &str = "/v2/a/manifests/latest";

fn recorded() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    (recorder, tidegate)
}

/// The access log line of the request with the user agent `agent`. The client cut the request, so
/// the registry must not be blamed.
fn assert_cut_by_the_client(tidegate: &Tidegate, agent: &str) {
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["cut"], "client", "{line}");
    assert_ne!(line["status"], 502, "{line}");
}

#[test]
fn an_upload_reset_without_an_error_never_looks_whole_to_the_registry() {
    let uploads = [("POST", START), ("PUT", MANIFEST)];
    for ((method, path), data) in uploads.into_iter().flat_map(|upload| [(upload, "first"), (upload, "")]) {
        let (recorder, tidegate) = recorded();
        let mut client = Client::connect(&tidegate);
        let fields = [AUTH, "User-Agent: resetter/1"];
        let (_answer, mut upload) = client.send(request(method, "localhost", path, &fields), false);
        client.data(&mut upload, data.as_bytes(), false).unwrap();
        recorder
            .wait_for("the beginning", |seen| seen.body == data.as_bytes() && seen.state == State::Running);
        upload.send_reset(h2::Reason::NO_ERROR);
        recorder.wait_for("the end of the request", |seen| seen.state != State::Running);
        let seen = recorder.record().requests;
        assert!(seen.iter().all(|seen| seen.state == State::Truncated), "{method}: {seen:#?}");
        assert_cut_by_the_client(&tidegate, "resetter/1");
    }
}

#[test]
fn an_upload_of_full_length_without_an_end_never_looks_whole_to_the_registry() {
    type Ending = fn(&Client, &mut h2::SendStream<bytes::Bytes>);
    let endings: [(&str, Ending); 3] = [
        ("NO_ERROR", |_, upload| upload.send_reset(h2::Reason::NO_ERROR)),
        ("CANCEL", |_, upload| upload.send_reset(h2::Reason::CANCEL)),
        ("a byte too many", |client, upload| drop(client.data(upload, b"!", true))),
    ];
    for (name, ending) in endings {
        let (recorder, tidegate) = recorded();
        let mut client = Client::connect(&tidegate);
        let fields = [AUTH, "content-length: 5"];
        let (_answer, mut upload) = client.send(request("POST", "localhost", START, &fields), false);
        client.data(&mut upload, b"HELLO", false).unwrap();
        recorder.wait_for("the upload", |seen| seen.head.method == "POST");
        // By the time other requests are answered, these bytes would have been forwarded too.
        for _ in 0..3 {
            assert_eq!(client.exchange(request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
        }
        ending(&client, &mut upload);
        let over = |seen: &Seen| seen.head.method == "POST" && seen.state != State::Running;
        let seen = recorder.wait_for("the end of the upload", over);
        assert_eq!(seen.state, State::Truncated, "{name}");
    }
}

#[test]
fn an_upload_of_full_length_may_end_in_a_separate_frame() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    let fields = [AUTH, "content-length: 5"];
    let (answer, mut upload) = client.send(request("POST", "localhost", START, &fields), false);
    client.data(&mut upload, b"HELLO", false).unwrap();
    assert_eq!(client.exchange(request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
    client.data(&mut upload, b"", true).unwrap();
    assert_eq!(client.answer(answer).unwrap().status(), 200);
    let seen = recorder.wait_for("the upload", |seen| seen.head.method == "POST");
    assert_eq!((seen.body.as_slice(), seen.state), (&b"HELLO"[..], State::Complete));
}

/// Sends the head of a request with `content-length: 0` and without END_STREAM. Then completes
/// another request on the same connection: by then, the first would have reached the registry if
/// tidegate took it for complete.
fn begin_empty_upload(client: &mut Client) -> (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>) {
    let upload = client.send(request("POST", "localhost", START, &[AUTH, "content-length: 0"]), false);
    for _ in 0..3 {
        assert_eq!(client.exchange(request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
    }
    upload
}

#[test]
fn a_request_with_a_body_after_content_length_zero_is_not_forwarded_without_it() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    let (answer, mut upload) = begin_empty_upload(&mut client);
    let uploads = || recorder.record().requests.iter().filter(|seen| seen.head.method == "POST").count();
    assert_eq!(uploads(), 0, "it was forwarded before it had ended");
    let _ = client.data(&mut upload, b"HELLO", true);
    match client.answer(answer) {
        Ok(answer) => assert_eq!(answer.status(), 400),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    assert_eq!(client.exchange(request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
    assert_eq!(uploads(), 0, "it was forwarded without its body");
}

#[test]
fn an_empty_upload_may_end_in_a_frame_after_its_head() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    let (answer, mut upload) = begin_empty_upload(&mut client);
    client.data(&mut upload, b"", true).unwrap();
    assert_eq!(client.answer(answer).unwrap().status(), 200);
    let seen = recorder.wait_for("the upload", |seen| seen.head.method == "POST");
    assert_eq!((seen.head.framing, seen.state), (Framing::Length(0), State::Complete));
    assert_eq!(recorder.record().faults, [""; 0]);
}

#[test]
fn a_get_and_a_head_may_end_in_a_frame_after_their_head() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    for method in ["GET", "HEAD"] {
        for at_once in [true, false] {
            let (answer, mut stream) = client.send(request(method, "localhost", MANIFEST, &[AUTH]), false);
            if !at_once {
                assert_eq!(client.exchange(request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
            }
            client.data(&mut stream, b"", true).unwrap();
            let answer = client.answer(answer).unwrap();
            assert_eq!(answer.status(), 200, "{method}, at once: {at_once}");
            assert!(answer.end.is_ok());
        }
    }
    let record = recorder.settle().unwrap();
    assert_eq!(record.requests.len(), 6, "{:#?}", record.requests);
    assert!(record.requests.iter().all(|seen| seen.head.framing == Framing::Empty), "{record:#?}");
}

#[test]
fn a_refused_head_request_ends_with_its_headers() {
    let (_recorder, tidegate) = recorded();
    let fields =
        [(":method", "HEAD"), (":scheme", "https"), (":authority", "localhost"), (":path", MANIFEST)];
    let mut frames = Frames::over(Tls::connect(&tidegate, "h2"));
    let asked = [
        frames::PREFACE.to_vec(),
        Frame::new(frames::SETTINGS, 0, 0, &[]).bytes(),
        frames::head(1, frames::END_STREAM, &fields).bytes(),
    ];
    frames.tls.send(&asked.concat()).unwrap();
    let answer = frames.of_stream(1);
    let kinds: Vec<u8> = answer.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [frames::HEADERS], "{answer:?}");
    assert!(answer[0].ends_stream());
    assert_eq!(frames::first_status(&answer[0]), Some(401));

    let mut client = Client::connect(&tidegate);
    let read = client.exchange(request("GET", "localhost", MANIFEST, &[]));
    let head = client.exchange(request("HEAD", "localhost", MANIFEST, &[]));
    let length = |answer: &Answer| answer.all("content-length").join(",").parse::<usize>().unwrap();
    assert_eq!((read.status(), head.status()), (401, 401));
    assert_eq!((length(&head), head.body.len()), (read.body.len(), 0));
}

/// curl reports an error, and no answer, when a stream ends while curl still sends on it.
#[test]
fn a_short_body_on_its_way_is_read_before_its_request_is_refused() {
    let (_recorder, tidegate) = recorded();
    let config = tidegate.settings.authority.client(&["h2"]);
    let mut frames = Frames::over(Tls::connect_with(tidegate.address, config).unwrap());
    let fields = [
        (":method", "PUT"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", MANIFEST),
        ("content-length", "5"),
    ];
    let ping = |name: &[u8; 8]| Frame::new(frames::PING, 0, 0, name).bytes();
    let opening = [
        frames::PREFACE.to_vec(),
        Frame::new(frames::SETTINGS, 0, 0, &[]).bytes(),
        frames::head(1, 0, &fields).bytes(),
        ping(b"the head"),
    ];
    frames.tls.send(&opening.concat()).unwrap();
    // The frames of the stream that arrive before a ping is answered.
    let until = |frames: &mut Frames, name: &[u8]| {
        let mut answer: Vec<Frame> = Vec::new();
        loop {
            match frames.next().unwrap().unwrap() {
                pong if pong.kind == frames::PING && pong.payload == name => return answer,
                frame if frame.stream == 1 => answer.push(frame),
                _ => {}
            }
        }
    };
    let early = until(&mut frames, b"the head");
    assert!(early.is_empty(), "it was answered while the body was on its way: {early:?}");
    frames.tls.send(&Frame::new(frames::DATA, frames::END_STREAM, 1, b"HELLO").bytes()).unwrap();
    let answer = frames.of_stream(1);
    assert_eq!(frames::first_status(&answer[0]), Some(401));
    assert!(answer.last().unwrap().ends_stream(), "{answer:?}");
    frames.tls.send(&ping(b"and then")).unwrap();
    let late = until(&mut frames, b"and then");
    assert!(late.is_empty(), "the stream was reset: {late:?}");
}

#[test]
fn a_client_may_send_frames_of_24_kib_and_no_longer_ones() {
    const MAX_FRAME_SIZE: u16 = 5;
    const FRAME_SIZE_ERROR: u32 = 6;
    let longest = 24 * 1024;
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", START),
        ("authorization", BASIC),
    ];
    for length in [longest, longest + 1] {
        let (recorder, tidegate) = recorded();
        let mut frames = Frames::over(Tls::connect(&tidegate, "h2"));
        let settings = frames.next().unwrap().unwrap();
        let setting = settings.payload.chunks(6).find(|setting| setting[..2] == MAX_FRAME_SIZE.to_be_bytes());
        assert_eq!(setting.unwrap()[2..], u32::try_from(longest).unwrap().to_be_bytes());
        let data = vec![7; length];
        let sent = [
            frames::PREFACE.to_vec(),
            Frame::new(frames::SETTINGS, 0, 0, &[]).bytes(),
            frames::head(1, 0, &fields).bytes(),
            Frame::new(frames::DATA, frames::END_STREAM, 1, &data).bytes(),
        ];
        frames.tls.send(&sent.concat()).unwrap();
        if length == longest {
            assert_eq!(frames::first_status(&frames.of_stream(1)[0]), Some(200));
            let seen = recorder.wait_for("the upload", |seen| seen.state == State::Complete);
            assert_eq!(seen.body, data);
        } else {
            let refusal = loop {
                let frame = frames.next().unwrap().expect("a GOAWAY comes before the end");
                if frame.kind == frames::GOAWAY {
                    break frame;
                }
            };
            assert_eq!(refusal.payload[4..8], FRAME_SIZE_ERROR.to_be_bytes());
        }
    }
}
