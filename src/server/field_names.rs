//! How HTTP/1.1 writes the names of fields. They mean the same in any case, but scripts and some
//! clients look for the case that other registries use.

use std::future::pending;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use http::{Extensions, HeaderName, Request, Response, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Fields whose names are not in title case, which is what hyper writes. `WWW-Authenticate` is
/// there as often as a response is likely to have it: a line for each scheme.
const UNUSUAL: [&str; 14] = [
    "WWW-Authenticate",
    "WWW-Authenticate",
    "WWW-Authenticate",
    "WWW-Authenticate",
    ETAG,
    "Docker-Upload-UUID",
    "OCI-Subject",
    "OCI-Filters-Applied",
    "OCI-Tag",
    "OCI-Chunk-Min-Length",
    "OCI-Chunk-Max-Length",
    "Content-MD5",
    "RateLimit-Limit",
    "RateLimit-Remaining",
];
const ETAG: &str = "ETag";

/// The names of fields that are not in title case.
pub(super) struct FieldNames {
    names: Vec<HeaderName>,
    /// A bit for each length of a name, because most other names have another.
    lengths: u64,
    /// hyper's own record of how they were written in an answer. Its type is private to hyper, and
    /// hyper makes one only of an answer that it has read.
    written: Extensions,
    /// The same for `ETag` alone. Most responses have no other of these fields, and a small record
    /// is copied faster.
    etag: Extensions,
}

impl FieldNames {
    pub(super) async fn read() -> io::Result<Self> {
        let (names, written) = record(&UNUSUAL).await?;
        let lengths = names.iter().map(length).fold(0, |all, bit| all | bit);
        let (_, etag) = record(&[ETAG]).await?;
        Ok(Self { names, lengths, written, etag })
    }

    /// Makes hyper write the field names of a response in their usual case over HTTP/1.1.
    pub(super) fn apply<B>(&self, response: &mut Response<B>) {
        let mut unusual = response.headers().keys().filter(|name| self.has(name));
        let written = match (unusual.next(), unusual.next()) {
            (None, _) => return,
            (Some(&header::ETAG), None) => &self.etag,
            (Some(_), _) => &self.written,
        };
        response.extensions_mut().extend(written.clone());
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.lengths & length(name) != 0 && self.names.contains(name)
    }
}

/// Has hyper read an answer with fields of these names. Returns the names and hyper's record.
async fn record(names: &[&str]) -> io::Result<(Vec<HeaderName>, Extensions)> {
    let fields: String = names.iter().map(|name| format!("{name}: \r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let (mut registry, client) = duplex(answer.len());
    let mut builder = http1::Builder::new();
    let builder = builder.preserve_header_case(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(client)).await.map_err(io::Error::other)?;
    let received = sender.send_request(Request::new(Empty::<Bytes>::new()));
    // hyper accepts no answer before it has sent the request.
    let answering = async {
        registry.read_u8().await?;
        registry.write_all(answer.as_bytes()).await?;
        pending::<io::Result<()>>().await
    };
    let received = tokio::select! {
        received = received => received.map_err(io::Error::other)?,
        end = connection => return Err(end.err().map_or(ErrorKind::UnexpectedEof.into(), io::Error::other)),
        Err(error) = answering => return Err(error),
    };
    let (mut head, _body) = received.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Ok((head.headers.keys().cloned().collect(), head.extensions))
}

fn length(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn only_a_response_with_an_unusual_name_carries_their_case() {
        let names = FieldNames::read().await.unwrap();
        let mut response = Response::new(());
        response.headers_mut().insert("docker-content-digest", HeaderValue::from_static("x"));
        names.apply(&mut response);
        assert!(response.extensions().is_empty());
        response.headers_mut().insert(header::ETAG, HeaderValue::from_static("x"));
        names.apply(&mut response);
        assert!(!response.extensions().is_empty());
    }
}
