//! An HTTP/2 client whose windows are wide enough not to be the limit.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::blob::Blob;
use crate::failure::Outcome;
use crate::target::{Handshake, PATIENCE, Protocol, Reads, Target};

const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// One connection; clones share it.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Blob>,
}

pub struct Answer {
    pub status: u16,
    /// The length of the body, which was complete.
    pub bytes: u64,
    pub range: Option<String>,
}

impl Http2 {
    pub async fn connect(target: &Target) -> Outcome<Http2> {
        let connection = target.connect(Protocol::Http2, Handshake::Full, Reads::Bulk).await?;
        if connection.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("it does not speak HTTP/2".into());
        }
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(connection))
            .await?;
        // Requests notice when the connection ends.
        tokio::spawn(driver);
        Ok(Http2 { sender })
    }

    pub async fn send(&mut self, method: &str, path: &str, target: &Target, body: Blob) -> Outcome<Answer> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", target.host()));
        if let Some(authorization) = &target.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.header("user-agent", "side_by_side/1").body(body)?;
        self.sender.ready().await?;
        // The answer to an upload comes only after the whole upload, so the time limit of the run
        // applies.
        let response = self.sender.send_request(request).await?;
        let range = response.headers().get("range").and_then(|range| range.to_str().ok()).map(str::to_owned);
        Ok(Answer { status: response.status().as_u16(), bytes: drain(response).await?, range })
    }
}

impl Answer {
    pub fn must_be(&self, status: u16, bytes: u64) -> Outcome<()> {
        if (self.status, self.bytes) == (status, bytes) {
            return Ok(());
        }
        Err(format!("{} with {} bytes instead of {status} with {bytes}", self.status, self.bytes).into())
    }
}

async fn drain(response: Response<Incoming>) -> Outcome<u64> {
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(|_| "a body stands still")? {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}
