use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::server::Tls;
use super::*;
use crate::pki::{SystemRoots, client_config};

const TIMEOUT: Duration = Duration::from_secs(7);

/// A TLS server that accepts connections and never answers.
async fn silent_server() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = client_config(None, "upstream.ca", &SystemRoots::default(), &[]).unwrap();
    let tls = Tls { config: Arc::new(config), roots: Vec::new() };
    let address = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port, tls: true };
    (listener, Server::new(&address, Some(tls), 1, 1))
}

#[tokio::test(start_paused = true)]
async fn a_handshake_without_an_answer_ends_after_the_connect_timeout() {
    let (_listener, server) = silent_server().await;
    let begun = Instant::now();
    let error = connect(&server, &server.endpoints()[0], begun + TIMEOUT).await.err();
    assert!(matches!(error, Some(UpstreamError::ConnectTimeout)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_when_the_address_is_gone() {
    let (_listener, server) = silent_server().await;
    let endpoint = server.endpoints()[0].clone();
    let begun = Instant::now();
    let attempt = connect(&server, &endpoint, begun + TIMEOUT);
    let gone = async {
        server.attention_wanted().await;
        endpoint.leave();
    };
    let (outcome, ()) = tokio::join!(attempt, gone);
    assert!(matches!(outcome.err(), Some(UpstreamError::Connect(_))));
    assert_eq!(begun.elapsed(), SLOW);
}
