//! A registry that uses almost no CPU, so that the proxy in front of it is measured.
//!
//! - `GET`, `HEAD` `/v2/…/manifests/…`: 1 KiB.
//! - `GET`, `HEAD` `/v2/…/blobs/sha256:<n>`: n bytes, n in hexadecimal ([`digest_of_size`]);
//!   404 if that is not a length, as in [`ABSENT`].
//! - `POST`, `PATCH`, `PUT` `/v2/…/blobs/uploads/…`: reads the body and reports its last byte in
//!   `Range`, as a registry does. The upload is always [`UPLOAD`].
//! - any other `GET`: `{}`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, server::conn::http1};
use hyper_util::rt::TokioIo;

use crate::blob::Blob;
use crate::failure::Outcome;
use crate::priority;

pub const MANIFEST_BYTES: u64 = 1024;

/// The place of an upload.
pub const UPLOAD: &str = "/v2/bench/blobs/uploads/6ba7b810-9dad-11d1-80b4-00c04fd430c8";

/// The digest of a blob that the upstream does not have.
pub const ABSENT: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// The digest of the upstream's blob of this many bytes.
pub fn digest_of_size(bytes: u64) -> String {
    format!("sha256:{bytes:064x}")
}

/// Serves on a separate thread until the bench ends.
pub fn start() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    // Look for new requests after each piece of a blob, so that no request waits for a whole blob.
    let runtime = tokio::runtime::Builder::new_current_thread().event_interval(1).enable_all().build()?;
    thread::spawn(move || {
        priority::raise();
        runtime.block_on(serve(listener));
    });
    Ok(address)
}

async fn serve(listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        // Out of descriptors for a moment: pending connections are accepted when one is free again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        // A proxy may close a connection. The client sees the outcome of its request.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Blob>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = Response::builder();
    let response = if request.method() == Method::GET || request.method() == Method::HEAD {
        if path.contains("/manifests/") {
            response
                .header("content-type", "application/vnd.docker.distribution.manifest.v2+json")
                .header("docker-content-digest", digest_of_size(MANIFEST_BYTES))
                .body(Blob::of_size(MANIFEST_BYTES))
        } else if let Some((_, size)) = path.split_once("/blobs/sha256:") {
            match u64::from_str_radix(size, 16) {
                Ok(size) => {
                    response.header("content-type", "application/octet-stream").body(Blob::of_size(size))
                }
                Err(_) => response.status(404).body(Blob::empty()),
            }
        } else {
            response
                .header("content-type", "application/json")
                .body(Blob::of_bytes(Bytes::from_static(b"{}")))
        }
    } else {
        let (status, place) = match request.method() {
            &Method::PUT => (201, path),
            _ => (202, UPLOAD.to_owned()),
        };
        let bytes = count(request.into_body()).await;
        response
            .status(status)
            .header("location", place)
            .header("range", format!("0-{}", bytes.saturating_sub(1)))
            .body(Blob::empty())
    };
    Ok(response.unwrap_or_else(|_| Response::new(Blob::empty())))
}

/// The length of a body. For a truncated body, the number of bytes received.
async fn count(mut body: Incoming) -> u64 {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    bytes
}
