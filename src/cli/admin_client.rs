//! Asks the admin listener of a running tidegate, for `tidegate health` and `tidegate top`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::AdminAddress;
use crate::https::{AnyBody, Stream};

const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// Longest wait for the connection and the head of an answer, and again for the body in
/// [`Client::get`].
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer. A status with its 200 transfers takes about 300 KB.
const LONGEST: usize = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("{0} cannot be reached: {1}; {advice}", advice = advice(.1))]
    Connect(AdminAddress, io::Error),
    #[error("{} did not answer within {} s", .0, PATIENCE.as_secs())]
    Late(AdminAddress),
    #[error("{0} did not answer as tidegate does: {1}")]
    Broken(AdminAddress, BoxError),
}

fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "run this command as root, or as the user that runs tidegate"
    } else {
        "is tidegate running, with this address in server.admin?"
    }
}

/// The one of `server.admin` that a client on this machine can use: of loopback if there is one,
/// else a socket.
pub(super) fn nearest(addresses: &[AdminAddress]) -> Option<&AdminAddress> {
    addresses.iter().min_by_key(|address| match address {
        AdminAddress::Tcp(tcp) if tcp.ip().is_loopback() || tcp.ip().is_unspecified() => 0,
        AdminAddress::Unix(_) => 1,
        AdminAddress::Tcp(_) => 2,
    })
}

/// Reads an option that names an admin listener.
pub(super) fn address_option(text: &str) -> Result<AdminAddress, String> {
    let wanted = "write an IP address and a port, such as 127.0.0.1:9443, or unix:/path";
    text.parse().map_err(|_complaint| wanted.to_owned())
}

/// Asks one admin listener, over a connection for each request.
#[derive(Debug)]
pub(super) struct Client {
    address: AdminAddress,
    /// The value of Authorization, if the listener wants a password.
    login: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(address: AdminAddress, login: Option<HeaderValue>) -> Self {
        let address = match address {
            AdminAddress::Tcp(tcp) if tcp.ip().is_unspecified() => {
                let ip: IpAddr =
                    if tcp.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                AdminAddress::Tcp(SocketAddr::new(ip, tcp.port()))
            }
            other => other,
        };
        Self { address, login }
    }

    /// The listener that this client asks.
    pub(super) fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// Asks for `path`. Returns the whole answer, whatever its status.
    pub(super) async fn get(&self, path: &str) -> Result<Response<Bytes>, ClientError> {
        let (head, body) = self.open(path).await?.into_parts();
        let body = timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await;
        let body = body.map_err(|_elapsed| ClientError::Late(self.address.clone()))?;
        let body = body.map_err(|error| ClientError::Broken(self.address.clone(), error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Asks for `path`. Returns as soon as the head of the answer is there; the body may go on for
    /// ever. Must be called within a runtime, where a task drives the connection.
    pub(super) async fn open(&self, path: &str) -> Result<Response<Incoming>, ClientError> {
        timeout(PATIENCE, self.connect_and_send(path))
            .await
            .map_err(|_elapsed| ClientError::Late(self.address.clone()))?
    }

    async fn connect_and_send(&self, path: &str) -> Result<Response<Incoming>, ClientError> {
        let unreachable = |error| ClientError::Connect(self.address.clone(), error);
        match &self.address {
            AdminAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(unreachable)?;
                self.send(Box::new(stream), path).await
            }
            AdminAddress::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
                self.send(Box::new(stream), path).await
            }
        }
    }

    async fn send(&self, stream: Box<dyn Stream>, path: &str) -> Result<Response<Incoming>, ClientError> {
        let broken = |error: BoxError| ClientError::Broken(self.address.clone(), error);
        let host = match &self.address {
            AdminAddress::Tcp(address) => address.to_string(),
            AdminAddress::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .body(AnyBody::default())
            .map_err(|error| broken(error.into()))?;
        if let Some(login) = &self.login {
            request.headers_mut().insert(AUTHORIZATION, login.clone());
        }
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
        // Ends with the body that it feeds.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| broken(error.into()))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn the_nearest_address_is_asked() {
        let read =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<AdminAddress>>();
        for (list, nearest_one) in [
            (&["192.0.2.1:1", "unix:/run/a", "127.0.0.1:1"][..], "127.0.0.1:1"),
            (&["192.0.2.1:1", "unix:/run/a"], "unix:/run/a"),
            (&["192.0.2.1:1", "0.0.0.0:2"], "0.0.0.0:2"),
            (&["192.0.2.1:1"], "192.0.2.1:1"),
        ] {
            assert_eq!(nearest(&read(list)).unwrap().to_string(), nearest_one);
        }
        assert_eq!(nearest(&[]), None);
    }

    #[test]
    fn an_address_that_stands_for_all_is_asked_over_loopback() {
        for (listening, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            let client = Client::new(listening.parse().unwrap(), None);
            assert_eq!(client.address().to_string(), asked);
        }
    }

    #[tokio::test]
    async fn asks_over_tcp_and_reads_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            String::from_utf8(head).unwrap().to_lowercase()
        });
        let answer = Client::new(AdminAddress::Tcp(address), None).get("/readyz").await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (503, &b"{}"[..]));
        let head = server.await.unwrap();
        assert!(
            head.starts_with("get /readyz http/1.1\r\n") && head.contains(&format!("host: {address}\r\n"))
        );
    }

    #[tokio::test]
    async fn says_whom_it_cannot_reach() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Client::new(AdminAddress::Tcp(unused), None).get("/healthz").await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{unused} cannot be reached: ")), "{error}");
        let error = Client::new("unix:/nowhere/s".parse().unwrap(), None).get("/").await.unwrap_err();
        assert!(error.to_string().starts_with("unix:/nowhere/s cannot be reached: "), "{error}");
    }
}
