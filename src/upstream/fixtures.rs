//! A registry that answers with given bytes.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Response};
use tokio::io::{AsyncWriteExt as _, copy, duplex, sink, split};
use tokio::time::Instant;

use super::connection::Connection;
use super::outgoing::Outgoing;
use super::stream::Stream;
use crate::body::{ClientBody, FairQueue, Flow};

/// Sends `bytes` to `client`, so many at once, and closes the connection. Returns what the client
/// makes of them.
pub(crate) async fn answer_with<T>(
    bytes: &[u8],
    at_once: usize,
    client: impl AsyncFnOnce(tokio::io::DuplexStream) -> T,
) -> T {
    let (ours, theirs) = duplex(at_once);
    let (mut requests, mut answers) = split(theirs);
    let answer = async {
        // The client may have gone.
        _ = answers.write_all(bytes).await;
        _ = answers.shutdown().await;
    };
    let read = async { _ = copy(&mut requests, &mut sink()).await };
    tokio::join!(client(ours), answer, read).0
}

/// What we understand of an answer: its head, and its body if that is whole.
pub(crate) async fn read_answer(
    method: Method,
    bytes: &[u8],
    at_once: usize,
) -> Option<(Response<()>, Option<Vec<u8>>)> {
    let client = async move |ours| {
        let mut connection = Connection::new(Stream::new(ours));
        let flow = Rc::new(Flow::new(Rc::new(FairQueue::default())));
        let mut request = Request::new(ClientBody::empty(flow.clone()));
        *request.method_mut() = method;
        let request = Outgoing::new(request);
        let head = connection.send(request, &flow, Instant::now(), Duration::from_secs(3600)).await.ok()?;
        let mut body = Vec::new();
        let end = loop {
            match poll_fn(|cx| connection.poll_data(u64::MAX, cx)).await {
                Ok(Some(data)) => body.extend_from_slice(&data),
                end => break end.is_ok(),
            }
        };
        Some((head, end.then_some(body)))
    };
    answer_with(bytes, at_once, client).await
}
