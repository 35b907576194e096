//! Bodies as hyper receives them, over a pipe and on a paused clock.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::body::FairQueue;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits { idle: Duration::from_secs(30), min_rate: 500, bytes: 1 << 20 };
const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// The outcome of one body.
#[derive(Debug, PartialEq)]
struct Received {
    result: Result<Vec<u8>, ClientFault>,
    /// Time since the first byte of the head.
    after: Duration,
}

impl Received {
    fn data(text: &str, after: Duration) -> Self {
        Self { result: Ok(text.into()), after }
    }

    fn fault(fault: ClientFault, after: Duration) -> Self {
        Self { result: Err(fault), after }
    }
}

/// Reads a request like a registry that takes `upstream` for each chunk.
async fn read(request: Request<Incoming>, limits: Limits, upstream: Duration) -> Received {
    let flow = Rc::new(Flow::new(Rc::new(FairQueue::default())));
    let begun = Instant::now();
    let version = request.version();
    let mut body = ClientBody::new(request.into_body().into(), version, flow.clone(), limits);
    let mut data = Vec::new();
    let result = loop {
        match body.frame().await {
            Some(Ok(frame)) => data.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => break Err(flow.fault().unwrap()),
            None => break Ok(data),
        }
        sleep(upstream).await;
    };
    let total = result.as_ref().map_or(0, Vec::len) as u64;
    assert!(result.is_err() || (flow.fault().is_none() && flow.bytes_in() == total));
    Received { result, after: begun.elapsed() }
}

/// Receives an HTTP/1.1 request whose body is written by `send`.
async fn receive<F>(
    head: &str,
    limits: Limits,
    upstream: Duration,
    send: impl FnOnce(DuplexStream) -> F,
) -> Received
where
    F: Future<Output = Option<DuplexStream>>,
{
    let (mut client, server) = duplex(64 * 1024);
    let received = RefCell::new(None);
    let service = service_fn(|request| async {
        let outcome = read(request, limits, upstream).await;
        received.replace(Some(outcome));
        Ok::<_, Infallible>(
            Response::builder().header("connection", "close").body(Empty::<Bytes>::new()).unwrap(),
        )
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    client.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        let _open = send(client).await;
        pending::<()>().await;
    };
    tokio::select! {
        _ = connection => {}
        () = sending => {}
    }
    received.take().unwrap()
}

/// Receives a request whose body is sent at once. With `closes`, the connection then ends.
async fn receive_text(head: &str, body: &str, limits: Limits, closes: bool) -> Received {
    receive(head, limits, Duration::ZERO, async |mut client| {
        client.write_all(body.as_bytes()).await.unwrap();
        (!closes).then_some(client)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_too_slow_after_the_idle_time() {
    let limits = Limits { min_rate: 0, ..LIMITS };
    let received = receive_text(CHUNKED, "", limits, false).await;
    assert_eq!(received, Received::fault(ClientFault::TooSlow, 30 * SECOND));
    let received = receive_text(CHUNKED, "4\r\nabcd\r\n", limits, false).await;
    assert_eq!(received, Received::fault(ClientFault::TooSlow, 30 * SECOND));
    let received = receive_text(CHUNKED, "", LIMITS, false).await;
    assert_eq!(received, Received::fault(ClientFault::TooSlow, 20 * SECOND), "the rate is the closer limit");
}

#[tokio::test(start_paused = true)]
async fn pauses_shorter_than_the_idle_time_add_up_to_nothing() {
    let limits = Limits { min_rate: 0, ..LIMITS };
    let received = receive(CHUNKED, limits, Duration::ZERO, async |mut client| {
        for _ in 0..10 {
            sleep(29 * SECOND).await;
            client.write_all(b"1\r\na\r\n").await.unwrap();
        }
        client.write_all(b"0\r\n\r\n").await.unwrap();
        Some(client)
    })
    .await;
    assert_eq!(received, Received::data("aaaaaaaaaa", 290 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_trickle_is_too_slow_and_a_client_that_waits_for_the_registry_is_not() {
    let received = receive(CHUNKED, LIMITS, Duration::ZERO, async |mut client| {
        loop {
            sleep(SECOND).await;
            if client.write_all(b"1\r\na\r\n").await.is_err() {
                return None;
            }
        }
    })
    .await;
    assert_eq!(received.result, Err(ClientFault::TooSlow));
    assert!((20 * SECOND..22 * SECOND).contains(&received.after), "{:?}", received.after);

    let received = receive(CHUNKED, LIMITS, 1000 * SECOND, async |mut client| {
        client.write_all(b"1\r\na\r\n").await.unwrap();
        sleep(500 * SECOND).await;
        client.write_all(b"1\r\nb\r\n0\r\n\r\n").await.unwrap();
        Some(client)
    })
    .await;
    assert_eq!(received.result, Ok(b"ab".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_declared_length_and_no_more_than_allowed() {
    let head = |length: u32| format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let limits = Limits { bytes: 4, ..LIMITS };
    for (declared, body, closes, expected) in [
        (4, "abcd", false, Ok(b"abcd".to_vec())),
        (0, "", false, Ok(Vec::new())),
        (5, "abcde", false, Err(ClientFault::TooLarge)),
        (4, "abc", true, Err(ClientFault::Gone)),
    ] {
        let received = receive_text(&head(declared), body, limits, closes).await;
        assert_eq!(received, Received { result: expected, after: Duration::ZERO }, "{declared} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_and_trailers() {
    for (body, expected) in [
        ("4\r\nabcd\r\n0\r\n\r\n", Ok(b"abcd".to_vec())),
        ("4\r\nabcd\r\n0\r\nx-checksum: 7\r\n\r\n", Ok(b"abcd".to_vec())),
        ("4\r\nabcd\r\n0\r\nauthorization: Basic dTpw\r\n\r\n", Err(ClientFault::Malformed)),
        ("4\r\nabcd\r\n0\r\nx-forwarded-for: 192.0.2.1\r\n\r\n", Err(ClientFault::Malformed)),
        ("g\r\n", Err(ClientFault::Malformed)),
        ("4\r\nab", Err(ClientFault::Gone)),
    ] {
        let closes = expected == Err(ClientFault::Gone);
        let received = receive_text(CHUNKED, body, LIMITS, closes).await;
        assert_eq!(received, Received { result: expected, after: Duration::ZERO }, "{body:?}");
    }
}

#[derive(Clone)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async { drop(future.await) });
    }
}

/// Receives four bytes over HTTP/2 after a declared length of four. Then `end` decides how the
/// stream ends.
async fn receive_http2(end: impl FnOnce(&mut h2::SendStream<Bytes>)) -> Received {
    let (client, server) = duplex(64 * 1024);
    let received = Rc::new(RefCell::new(None));
    let outcome = received.clone();
    let service = service_fn(move |request| {
        let received = received.clone();
        async move {
            let outcome = read(request, LIMITS, Duration::ZERO).await;
            received.replace(Some(outcome));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection =
        hyper::server::conn::http2::Builder::new(Local).serve_connection(TokioIo::new(server), service);
    tokio::task::spawn_local(connection);
    let (client, connection) = h2::client::handshake(client).await.unwrap();
    tokio::task::spawn_local(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::builder().method(Method::PUT).uri("https://a/").header("content-length", "4");
    let (_response, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::from_static(b"abcd"), false).unwrap();
    sleep(SECOND).await;
    end(&mut stream);
    sleep(60 * SECOND).await;
    outcome.take().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_http2_body_is_whole_when_its_stream_ends_and_not_before() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let received = receive_http2(|stream| stream.send_data(Bytes::new(), true).unwrap()).await;
            assert_eq!(received, Received::data("abcd", SECOND), "the last chunk is held until then");
            let received = receive_http2(|stream| stream.send_reset(h2::Reason::NO_ERROR)).await;
            assert_eq!(received, Received::fault(ClientFault::Gone, SECOND));
            let received = receive_http2(|_| ()).await;
            assert_eq!(received, Received::fault(ClientFault::TooSlow, 20 * SECOND));
        })
        .await;
}
