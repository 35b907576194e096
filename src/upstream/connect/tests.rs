use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::super::server::Tls;
use super::*;
use crate::pki::{SystemRoots, client_config};

const TIMEOUT: Duration = Duration::from_secs(7);

/// A TLS registry that accepts connections and never answers.
async fn silent_server() -> (TcpListener, Destination) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = client_config(None, "upstream.ca", &SystemRoots::default(), &[]).unwrap();
    let to = Destination {
        server: ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port, tls: true },
        tls: Some(Tls { config: Arc::new(config), roots: Vec::new() }),
        name: String::new(),
        connect_timeout: TIMEOUT,
        read_timeout: Duration::from_secs(60),
        login: None,
        path: String::new(),
        host: None,
    };
    (listener, to)
}

#[tokio::test(start_paused = true)]
async fn a_handshake_without_an_answer_ends_after_the_connect_timeout() {
    let (_listener, to) = silent_server().await;
    let begun = Instant::now();
    let error = connect(&to).await.err();
    assert!(matches!(error, Some(UpstreamError::ConnectTimeout)), "{error:?}");
    assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs());
}
