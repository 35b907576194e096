//! How HTTP/1.1 writes the names of fields. They mean the same in any case, but scripts and some
//! clients look for the case that other registries use.

use std::future::pending;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use http::{Extensions, HeaderName, Request, Response};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// An answer with every field whose name is not in title case, which is what hyper writes.
/// `WWW-Authenticate` is there as often as a response is likely to have it: a line for each scheme.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    WWW-Authenticate: \r\n\
    WWW-Authenticate: \r\n\
    WWW-Authenticate: \r\n\
    WWW-Authenticate: \r\n\
    ETag: \r\n\
    Docker-Upload-UUID: \r\n\
    OCI-Subject: \r\n\
    OCI-Filters-Applied: \r\n\
    OCI-Tag: \r\n\
    OCI-Chunk-Min-Length: \r\n\
    OCI-Chunk-Max-Length: \r\n\
    Content-MD5: \r\n\
    RateLimit-Limit: \r\n\
    RateLimit-Remaining: \r\n\
    Content-Length: 0\r\n\r\n";

/// The names of fields that are not in title case.
pub(super) struct FieldNames {
    names: Vec<HeaderName>,
    /// hyper's own record of how they were written in [`ANSWER`]. Its type is private to hyper, and
    /// hyper makes one only of an answer that it has read.
    written: Extensions,
}

impl FieldNames {
    pub(super) async fn read() -> io::Result<Self> {
        let (mut registry, client) = duplex(ANSWER.len());
        let mut builder = http1::Builder::new();
        let builder = builder.preserve_header_case(true);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(client)).await.map_err(io::Error::other)?;
        let answer = sender.send_request(Request::new(Empty::<Bytes>::new()));
        // hyper accepts no answer before it has sent the request.
        let answering = async {
            registry.read_u8().await?;
            registry.write_all(ANSWER).await?;
            pending::<io::Result<()>>().await
        };
        let answer = tokio::select! {
            answer = answer => answer.map_err(io::Error::other)?,
            end = connection => return Err(end.err().map_or(ErrorKind::UnexpectedEof.into(), io::Error::other)),
            Err(error) = answering => return Err(error),
        };
        let (mut head, _body) = answer.into_parts();
        head.headers.remove(http::header::CONTENT_LENGTH);
        Ok(Self { names: head.headers.keys().cloned().collect(), written: head.extensions })
    }

    /// Makes hyper write the field names of a response in their usual case over HTTP/1.1.
    pub(super) fn apply<B>(&self, response: &mut Response<B>) {
        if self.names.iter().any(|name| response.headers().contains_key(name)) {
            response.extensions_mut().extend(self.written.clone());
        }
    }
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
        response.headers_mut().insert(http::header::ETAG, HeaderValue::from_static("x"));
        names.apply(&mut response);
        assert!(!response.extensions().is_empty());
    }
}
