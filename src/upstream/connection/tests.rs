use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::body::{ClientBody, FairQueue, Limits, UnreadBody};

fn flow() -> Rc<Flow> {
    Rc::new(Flow::new(Rc::new(FairQueue::default())))
}

/// Sends a request without a body, which gets `answer`. Returns the connection, and the body.
async fn exchange(method: Method, answer: &str) -> (Connection, Result<Vec<u8>, Broken>, DuplexStream) {
    let (ours, mut theirs) = duplex(1 << 20);
    theirs.write_all(answer.as_bytes()).await.unwrap();
    let mut connection = Connection::new(Stream::new(ours));
    let flow = flow();
    let mut request = Request::new(ClientBody::empty(flow.clone()));
    *request.method_mut() = method;
    let sent = connection.send(Outgoing::new(request), &flow, Instant::now(), Duration::MAX).await;
    assert!(sent.is_ok_and(|head| head.status() == 200 || head.status() == 204));
    let body = read(&mut connection).await;
    (connection, body, theirs)
}

async fn read(connection: &mut Connection) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    while let Some(data) = poll_fn(|cx| connection.poll_data(TURN, cx)).await? {
        body.extend_from_slice(&data);
    }
    Ok(body)
}

#[tokio::test]
async fn a_connection_is_used_again_only_after_exactly_one_answer() {
    for (method, answer, body) in [
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO", "HELLO"),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\n",
            "HELLO",
        ),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", ""),
    ] {
        let (mut connection, read, mut theirs) = exchange(method.clone(), answer).await;
        assert_eq!(read.unwrap(), body.as_bytes());
        assert!(connection.is_usable(), "{answer:?}");
        theirs.write_all(b"H").await.unwrap();
        assert!(!connection.is_usable(), "after a byte that nobody asked for");

        let (mut connection, read, _theirs) = exchange(method, &format!("{answer}H")).await;
        assert_eq!(read.unwrap(), body.as_bytes());
        assert!(!connection.is_usable(), "{answer:?} and more");
    }
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(!exchange(Method::GET, close).await.0.is_usable());
}

#[tokio::test]
async fn a_connection_that_the_registry_has_closed_is_not_used_again() {
    let (mut connection, _, theirs) =
        exchange(Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    drop(theirs);
    assert!(!connection.is_usable());
    let flow = flow();
    let request = Outgoing::new(Request::new(ClientBody::empty(flow.clone())));
    let sent = connection.send(request, &flow, Instant::now(), Duration::MAX).await;
    assert!(matches!(sent, Err(SendError::Unsent(_))));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_is_sent_ends_the_connection() {
    let (ours, mut theirs) = duplex(1000);
    let mut connection = Connection::new(Stream::new(ours));
    let flow = flow();
    let body = UnreadBody::read(Bytes::from(vec![7; 100_000]), None);
    let limits = Limits { idle: Duration::MAX, min_rate: 0, bytes: u64::MAX };
    let body = ClientBody::new(body, http::Version::HTTP_11, flow.clone(), limits);
    let request = Outgoing::new(Request::put("/v2/").header("content-length", "100000").body(body).unwrap());
    theirs.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull").await.unwrap();
    let head = connection.send(request, &flow, Instant::now(), Duration::MAX).await;
    assert!(head.is_ok_and(|head| head.status() == 413));
    assert_eq!(read(&mut connection).await.unwrap(), b"full");
    assert!(!connection.is_usable());
    drop(connection);
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).await.unwrap();
    assert!(sent.starts_with(b"PUT /v2/ HTTP/1.1\r\n") && sent.len() < 100_000);
}

#[tokio::test]
async fn another_length_than_announced_cuts_the_request() {
    for announced in [4, 6] {
        let (ours, mut theirs) = duplex(1000);
        let mut connection = Connection::new(Stream::new(ours));
        let flow = flow();
        let body = UnreadBody::read(Bytes::from_static(b"HELLO"), None);
        let limits = Limits { idle: Duration::MAX, min_rate: 0, bytes: u64::MAX };
        let body = ClientBody::new(body, http::Version::HTTP_11, flow.clone(), limits);
        let request = Request::put("/v2/").header("content-length", announced).body(body).unwrap();
        let sent = connection.send(Outgoing::new(request), &flow, Instant::now(), Duration::MAX).await;
        assert!(matches!(sent, Err(SendError::Sent(SentError::Connection(Broken::Length)))));
        assert!(!connection.is_usable());
        drop(connection);
        let mut arrived = Vec::new();
        theirs.read_to_end(&mut arrived).await.unwrap();
        assert!(!arrived.ends_with(b"HELLO") || announced > 5);
    }
}

#[tokio::test]
async fn as_much_is_read_at_once_as_arrives() {
    let (mut connection, _, mut theirs) =
        exchange(Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    connection.body = Incoming::Length(u64::MAX);
    // What is held of a slow answer is little more than its bytes.
    let mut held = Vec::new();
    for _ in 0..20 {
        theirs.write_all(&[0; 1000]).await.unwrap();
        held.push(poll_fn(|cx| connection.poll_data(TURN, cx)).await.unwrap().unwrap());
        assert!(connection.arrived.capacity() <= FIRST_READ);
    }
    held.clear();
    theirs.write_all(&vec![0; 1 << 20]).await.unwrap();
    let mut places = Vec::new();
    while let Poll::Ready(data) = poll_fn(|cx| Poll::Ready(connection.poll_data(TURN, cx))).await {
        let data = data.unwrap().unwrap();
        places.push((data.as_ptr().addr(), data.len()));
    }
    let lengths: Vec<_> = places.iter().map(|(_, length)| *length).collect();
    let rest = (1 << 20) - FIRST_READ - GROWTH * FIRST_READ - 2 * TURN as usize;
    assert_eq!(lengths, [FIRST_READ, GROWTH * FIRST_READ, TURN as usize, TURN as usize, rest]);
    assert_eq!((places[3].0, places[4].0), (places[2].0, places[2].0), "one memory serves for all");
    for next_read in [TURN as usize / GROWTH, FIRST_READ] {
        theirs.write_all(&[0; 1000]).await.unwrap();
        poll_fn(|cx| connection.poll_data(TURN, cx)).await.unwrap();
        assert_eq!(connection.next_read, next_read);
    }
}
