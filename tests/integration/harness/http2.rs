//! A blocking HTTP/2 client: the `h2` crate, driven by a separate thread.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, Response};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::tidegate::Tidegate;
use super::{DEADLINE, http1};

/// One HTTP/2 connection to tidegate.
pub struct Client {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

/// An answer and the outcome of its body: `Ok` when it ended with END_STREAM.
pub struct Answer {
    pub head: Response<()>,
    pub body: Vec<u8>,
    pub end: Result<(), h2::Error>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// The same answer as an HTTP/1.1 response.
impl From<Answer> for http1::Response {
    fn from(answer: Answer) -> Self {
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Self {
            status: answer.status(),
            headers: answer.head.headers().iter().map(field).collect(),
            complete: answer.end.is_ok(),
            body: answer.body,
            interim: Vec::new(),
        }
    }
}

impl Client {
    pub fn connect(tidegate: &Tidegate) -> Client {
        Client::connect_with(tidegate, 1 << 20)
    }

    /// Connects with a receive window of `window` bytes, for each stream and for the connection.
    pub fn connect_with(tidegate: &Tidegate, window: u32) -> Client {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let connector = TlsConnector::from(Arc::clone(&tidegate.settings.authority.client(&["h2"])));
        let address = tidegate.address;
        let (requests, connection) = runtime
            .block_on(limited(async move {
                let socket = TcpStream::connect(address).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let stream = connector.connect(name, socket).await.unwrap();
                let mut builder = h2::client::Builder::new();
                builder.initial_window_size(window).initial_connection_window_size(window.max(65_535));
                builder.handshake(stream).await
            }))
            .unwrap();
        runtime.spawn(connection);
        Client { runtime, requests }
    }

    /// Sends a request head. With `end`, no body follows.
    pub fn send(&mut self, request: Request<()>, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.requests.clone();
        self.runtime.block_on(limited(poll_fn(|context| ready.poll_ready(context)))).unwrap();
        self.requests.send_request(request, end).unwrap()
    }

    /// Sends body bytes, as flow control permits.
    pub fn data(&self, stream: &mut SendStream<Bytes>, data: &[u8], end: bool) -> Result<(), h2::Error> {
        let mut rest = Bytes::copy_from_slice(data);
        self.runtime.block_on(limited(async {
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                match poll_fn(|context| stream.poll_capacity(context)).await {
                    Some(Ok(0)) => {}
                    Some(Ok(room)) => stream.send_data(rest.split_to(room.min(rest.len())), false)?,
                    Some(Err(error)) => return Err(error),
                    None => return Err(h2::Error::from(h2::Reason::STREAM_CLOSED)),
                }
            }
            if end {
                stream.send_data(Bytes::new(), true)?;
            }
            Ok(())
        }))
    }

    /// Sends `size` body bytes without an end, as flow control permits and while the test goes on.
    /// Returns the counter of bytes sent.
    pub fn feed(&self, mut stream: SendStream<Bytes>, size: usize) -> Arc<AtomicUsize> {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        self.runtime.spawn(async move {
            let mut left = size;
            while left > 0 {
                stream.reserve_capacity(left.min(64 << 10));
                let Some(Ok(room)) = poll_fn(|context| stream.poll_capacity(context)).await else { break };
                let room = room.min(left);
                if stream.send_data(Bytes::from(vec![7; room]), false).is_err() {
                    break;
                }
                left -= room;
                count.fetch_add(room, Ordering::SeqCst);
            }
            // Dropping the stream resets it.
            std::future::pending::<()>().await;
        });
        sent
    }

    /// Waits for the first of several answers, no longer than `patience`.
    pub fn first_answer(
        &self,
        answers: &mut [ResponseFuture],
        patience: Duration,
    ) -> Option<Result<Response<RecvStream>, h2::Error>> {
        let first = poll_fn(|context| {
            let mut polls = answers.iter_mut().map(|answer| Pin::new(answer).poll(context));
            polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        self.runtime.block_on(async { tokio::time::timeout(patience, first).await.ok() })
    }

    /// Waits for the head of the answer.
    pub fn head(&self, response: ResponseFuture) -> Result<Response<RecvStream>, h2::Error> {
        self.runtime.block_on(limited(response))
    }

    /// The next bytes of a body, or `None` at its end.
    pub fn some(&self, body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        self.runtime.block_on(limited(async {
            let data = body.data().await;
            if let Some(Ok(data)) = &data {
                let _ = body.flow_control().release_capacity(data.len());
            }
            data
        }))
    }

    /// Waits for the whole answer.
    pub fn answer(&self, response: ResponseFuture) -> Result<Answer, h2::Error> {
        self.answer_in_parts(response, || ())
    }

    /// The same. Calls `has_head` between the head and the body.
    pub fn answer_in_parts(
        &self,
        response: ResponseFuture,
        has_head: impl FnOnce(),
    ) -> Result<Answer, h2::Error> {
        let (parts, mut stream) = self.head(response)?.into_parts();
        has_head();
        let mut body = Vec::new();
        let end = loop {
            match self.some(&mut stream) {
                Some(Ok(data)) => body.extend_from_slice(&data),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        Ok(Answer { head: Response::from_parts(parts, ()), body, end })
    }

    /// Sends a request without a body and returns the answer.
    pub fn exchange(&mut self, request: Request<()>) -> Answer {
        let (response, _) = self.send(request, true);
        self.answer(response).unwrap()
    }
}

/// A request for `path` at `host`, with fields written as `Name: value`.
pub fn request(method: &str, host: &str, path: &str, fields: &[&str]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(format!("https://{host}{path}"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        builder = builder.header(name, value);
    }
    builder.body(()).unwrap()
}

async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("an event of the HTTP/2 connection in time")
}
