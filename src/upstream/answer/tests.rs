use std::future::poll_fn;
use std::sync::Arc;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use super::super::connection::{Connection, SendError, SentError};
use super::super::outgoing::Outgoing;
use super::super::pool::{EndpointPool, Pool};
use super::super::server::Server;
use super::super::stream::Stream;
use super::*;
use crate::body::{ClientBody, FairQueue};
use crate::config::ServerAddress;
use crate::places::Places;

const TIMEOUT: Duration = Duration::from_secs(7);

struct Exchange {
    server: Rc<EndpointPool>,
    flow: Rc<Flow>,
}

impl Exchange {
    fn new() -> Self {
        let address = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: 5000, tls: false };
        let server = Arc::new(Server::new(&address, None, 10, 1));
        let endpoint = server.endpoints()[0].clone();
        let server = Pool::default().of(&server, &endpoint);
        Self { server, flow: Rc::new(Flow::new(Rc::new(FairQueue::default()))) }
    }

    /// Opens a connection to `registry` and sends a request.
    async fn send(&self, registry: DuplexStream) -> Result<Answer, SentError> {
        let connection = Box::new(Connection::new(Stream::new(registry)));
        let mut lease = self.server.lease(connection, self.server.server.try_permit().unwrap());
        let request = Request::get("/v2/").body(ClientBody::empty(self.flow.clone())).unwrap();
        match lease.connection.send(Outgoing::new(request), &self.flow, Instant::now(), TIMEOUT).await {
            Ok(_head) => {
                let place = Places::new(1).take(self.flow.network()).unwrap();
                Ok(Answer::new(lease, place, TIMEOUT, self.flow.clone()))
            }
            Err(SendError::Sent(error)) => Err(error),
            Err(SendError::Unsent(_)) => panic!("the request was not sent"),
        }
    }

    fn is_idle(&self) -> bool {
        self.server.check_out().is_some()
    }
}

/// Reads a request and answers with `parts`, pausing before each.
async fn answer_in(mut theirs: DuplexStream, parts: &[&str], pause: Duration) -> DuplexStream {
    assert!(theirs.read(&mut [0; 1024]).await.unwrap() > 0);
    for part in parts {
        sleep(pause).await;
        theirs.write_all(part.as_bytes()).await.unwrap();
    }
    theirs
}

async fn read_to_end(mut answer: Answer) -> Result<usize, AnswerError> {
    let mut bytes = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await {
        bytes += frame?.into_data().map_or(0, |data| data.len());
    }
    Ok(bytes)
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_answers_is_silent_after_the_read_timeout() {
    let exchange = Exchange::new();
    let (ours, theirs) = duplex(1024);
    let begun = Instant::now();
    let error = exchange.send(ours).await.err();
    assert!(matches!(error, Some(SentError::Silent)));
    assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs());
    assert!(!exchange.is_idle());
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn each_part_of_an_answer_may_take_almost_the_read_timeout() {
    let exchange = Exchange::new();
    let (ours, theirs) = duplex(1024);
    let parts = ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "ab", "cd", "ef"];
    let registry = answer_in(theirs, &parts, TIMEOUT - Duration::from_secs(1));
    let read = async { read_to_end(exchange.send(ours).await.ok().unwrap()).await };
    let (theirs, read) = tokio::join!(registry, read);
    assert_eq!(read.unwrap(), 6);
    assert!(exchange.is_idle(), "it goes back to the pool");
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_stops_within_its_answer_is_silent_after_the_read_timeout() {
    let exchange = Exchange::new();
    let (ours, theirs) = duplex(1024);
    let registry = answer_in(theirs, &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"], Duration::ZERO);
    let read = async {
        let answer = exchange.send(ours).await.ok().unwrap();
        let begun = Instant::now();
        (read_to_end(answer).await, begun.elapsed())
    };
    let (mut theirs, (read, time)) = tokio::join!(registry, read);
    assert!(matches!(read, Err(AnswerError::Silent)), "{read:?}");
    assert_eq!(time.as_secs(), TIMEOUT.as_secs());
    assert!(!exchange.is_idle());
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0, "its connection is closed");
}

#[tokio::test]
async fn an_answer_that_ends_early_is_truncated_and_its_connection_closed() {
    let exchange = Exchange::new();
    let (ours, theirs) = duplex(1024);
    let registry = async {
        drop(answer_in(theirs, &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"], Duration::ZERO).await);
    };
    let read = async { read_to_end(exchange.send(ours).await.ok().unwrap()).await };
    let ((), read) = tokio::join!(registry, read);
    assert!(matches!(read, Err(AnswerError::Truncated(_))), "{read:?}");
    assert!(!exchange.is_idle());
}
