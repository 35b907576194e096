use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Empty;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::crypto::provider;
use crate::pki::fixtures::{Folder, Signer};

/// A server for 127.0.0.1 that answers every request alike and closes, or stays silent.
struct Server {
    address: SocketAddr,
    client: HttpsClient,
    connections: Arc<AtomicUsize>,
    _folder: Folder,
}

impl Server {
    async fn start(answer: Option<String>) -> Self {
        let (folder, ca) = (Folder::new(), Signer::new("ca"));
        let (certificate, key) = ca.server(&["127.0.0.1"]);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                match &answer {
                    // The answer contains the request's head.
                    Some(answer) => {
                        let head = String::from_utf8(head).unwrap();
                        let answer = answer.replace("HEAD", &head.replace("\r\n", "|"));
                        _ = stream.write_all(answer.as_bytes()).await;
                        _ = stream.shutdown().await;
                    }
                    None => std::future::pending().await,
                }
            }
        });
        let ca = folder.write("ca.crt", ca.certificate.pem());
        let client = HttpsClient::new(Some(&ca), "test.ca", &SystemRoots::default()).unwrap();
        Self { address, client, connections, _folder: folder }
    }

    async fn get(&self, path: &str) -> Result<Response<Bytes>, HttpsError> {
        self.client.send(get(&format!("https://{}{path}", self.address))).await
    }
}

fn get(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn a_request_for_a_url_is_one_for_its_server() {
    let server = Server::start(Some("HTTP/1.1 200 OK\r\n\r\nHEAD".to_owned())).await;
    let answer = server.get("/dir?a=b").await.unwrap();
    let head = String::from_utf8(answer.into_body().to_vec()).unwrap().to_lowercase();
    assert!(head.starts_with("get /dir?a=b http/1.1|"), "{head}");
    assert!(head.contains(&format!("|host: {}|", server.address)), "{head}");
    assert!(head.contains("|connection: close|") && head.contains("|user-agent: tidegate/"), "{head}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(Some(redirect.to_owned())).await;
    assert_eq!(server.get("/").await.unwrap().status(), 302);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_an_error() {
    let mut server =
        Server::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789".to_owned())).await;
    server.client.limits.body = 9;
    assert_eq!(server.get("/").await.unwrap().body(), "123456789");
    server.client.limits.body = 8;
    assert!(matches!(server.get("/").await, Err(HttpsError::TooLong(8))));
}

#[tokio::test]
async fn an_answer_cut_short_is_an_error() {
    let server =
        Server::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123456789".to_owned())).await;
    assert!(matches!(server.get("/").await, Err(HttpsError::Broken(_))));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let mut server = Server::start(None).await;
    server.client.limits.total = Duration::from_millis(200);
    assert!(matches!(server.get("/").await, Err(HttpsError::Late(_))));
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused() {
    let server = Server::start(None).await;
    let folder = Folder::new();
    let other = folder.write("ca.crt", Signer::new("another ca").certificate.pem());
    let other = HttpsClient::new(Some(&other), "test.ca", &SystemRoots::default()).unwrap();
    let refused = other.send(get(&format!("https://{}/", server.address))).await;
    let Err(HttpsError::Handshake(_, cause)) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("UnknownIssuer"), "{cause}");
}

#[tokio::test]
async fn only_https_urls_are_asked() {
    let server = Server::start(None).await;
    for url in [format!("http://{}/", server.address), "/dir".to_owned()] {
        assert!(matches!(server.client.send(get(&url)).await, Err(HttpsError::NotHttps(_))), "{url}");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn the_target_of_a_url() {
    for (url, host, port, header) in [
        ("https://a.test", "a.test", 443, "a.test"),
        ("https://a.test:8443/x", "a.test", 8443, "a.test:8443"),
        ("https://[::1]:444/", "::1", 444, "[::1]:444"),
        ("https://user:secret@a.test/", "a.test", 443, "a.test"),
    ] {
        let mut request = get(url);
        let target = prepare(&mut request, &Scheme::HTTPS, 443).unwrap();
        assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
        assert_eq!(request.headers()[HOST], header, "{url}");
    }
}

/// Reads the head of a request and answers with it.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n", &head[..]].concat()).await.unwrap();
}

#[tokio::test]
async fn a_server_of_this_machine_is_asked_in_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let answer = HttpsClient::loopback().send(get(&format!("http://{address}/a?b"))).await.unwrap();
    let head = String::from_utf8(answer.into_body().to_vec()).unwrap().to_lowercase();
    assert!(
        head.starts_with("get /a?b http/1.1\r\n") && head.contains(&format!("host: {address}")),
        "{head}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn no_other_machine_is_asked_in_clear() {
    let ask = async |url: &str| HttpsClient::loopback().send(get(url)).await;
    // Of the documentation prefix of RFC 5737.
    let refused = ask("http://192.0.2.1/").await;
    let Err(HttpsError::Connect(_, cause)) = refused else { panic!("{refused:?}") };
    assert_eq!(cause.kind(), io::ErrorKind::AddrNotAvailable);
    assert!(matches!(ask("https://127.0.0.1/").await, Err(HttpsError::NotHere(_))));
}

#[tokio::test]
async fn a_server_behind_a_socket_is_asked() {
    let folder = Folder::new();
    let socket = folder.path("service.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await });
    let answer = HttpsClient::unix(socket.clone()).send(get("/")).await.unwrap();
    let head = String::from_utf8(answer.into_body().to_vec()).unwrap().to_lowercase();
    assert!(head.starts_with("get / http/1.1\r\n") && head.contains("host: localhost\r\n"), "{head}");
    server.await.unwrap();
    let gone = HttpsClient::unix(folder.path("none")).send(get("/")).await;
    assert!(matches!(gone, Err(HttpsError::Connect(..))), "{gone:?}");
}
