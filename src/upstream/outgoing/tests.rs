use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Version};
use tokio::io::{AsyncReadExt, duplex};

use super::*;
use crate::body::{FairQueue, Flow, Limits, UnreadBody};

fn request(method: Method, fields: &[(&'static str, &[u8])], body: &Bytes) -> Outgoing {
    let flow = Rc::new(Flow::new(Rc::new(FairQueue::default())));
    let limits = Limits { idle: Duration::MAX, min_rate: 0, bytes: u64::MAX };
    let body = UnreadBody::read(body.clone(), None);
    let mut request = Request::new(ClientBody::new(body, Version::HTTP_11, flow, limits));
    *request.method_mut() = method;
    *request.uri_mut() = "/v2/a/blobs/uploads/?mount=b&x=%20:".parse().unwrap();
    for &(name, value) in fields {
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    Outgoing::new(request)
}

/// What arrives at a registry that reads so many bytes at once.
async fn sent(request: Outgoing, at_once: usize) -> Vec<u8> {
    let (ours, mut theirs) = duplex(at_once);
    let (mut stream, mut rest, mut arrived) = (Stream::new(ours), Rest::from(request), Vec::new());
    let send = async move { poll_fn(|cx| rest.poll_send(&mut stream, cx)).await.unwrap() };
    tokio::join!(send, theirs.read_to_end(&mut arrived)).1.unwrap();
    arrived
}

#[tokio::test]
async fn a_request_arrives_as_it_is_however_little_can_be_written() {
    let fields: [(_, &[u8]); 5] = [
        ("host", b"registry.example.com:5043"),
        ("accept", b"a"),
        ("x-empty", b""),
        ("accept", b"b: c"),
        ("x-bytes", b"\t\xff:\xfe"),
    ];
    let head = b"GET /v2/a/blobs/uploads/?mount=b&x=%20: HTTP/1.1\r\nhost: registry.example.com:5043\r\n\
        accept: a\r\naccept: b: c\r\nx-empty: \r\nx-bytes: \t\xff:\xfe\r\n\r\n";
    for at_once in [1, 7, 1000] {
        assert_eq!(sent(request(Method::GET, &fields, &Bytes::new()), at_once).await, head);
    }
}

#[tokio::test]
async fn a_body_goes_with_its_length_or_in_chunks() {
    let body = Bytes::from_iter((0..300_000_u32).map(|byte| byte as u8));
    let line = "PATCH /v2/a/blobs/uploads/?mount=b&x=%20: HTTP/1.1\r\n";
    for at_once in [1000, 1 << 20] {
        let arrived = sent(request(Method::PATCH, &[("content-length", b"300000")], &body), at_once).await;
        let head = format!("{line}content-length: 300000\r\n\r\n");
        assert!(arrived == [head.as_bytes(), &body].concat());

        let arrived = sent(request(Method::PATCH, &[], &body), at_once).await;
        let head = format!("{line}transfer-encoding: chunked\r\n\r\n493e0\r\n");
        assert!(arrived == [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat());
    }
}

#[tokio::test]
async fn only_what_has_no_body_and_changes_nothing_is_sent_again() {
    let body = Bytes::from_static(b"{}");
    for (method, body, is_repeatable) in [
        (Method::GET, Bytes::new(), true),
        (Method::HEAD, Bytes::new(), true),
        (Method::GET, body.clone(), false),
        (Method::PUT, body, false),
        (Method::POST, Bytes::new(), false),
        (Method::DELETE, Bytes::new(), false),
    ] {
        let request = request(method.clone(), &[("host", b"a")], &body);
        let again = request.again();
        assert_eq!(again.is_some(), is_repeatable, "{method}");
        if let Some(again) = again {
            assert_eq!(again.method(), request.method());
            assert_eq!(sent(again, 100).await, sent(request, 100).await);
        }
    }
}
