//! A registry that records what reaches it.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;

use super::strict_http::{Framing, Head};

/// The heads of the requests so far, or why one of them was not understood.
pub(super) type Seen = Rc<RefCell<Vec<Result<Head, String>>>>;

/// Answers each request at once.
pub(super) async fn serve(listener: UnixListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        spawn_local(connection(stream, seen.clone()));
    }
}

async fn connection(mut stream: UnixStream, seen: Seen) {
    let mut received = Vec::new();
    while let Ok(Some(head)) = request(&mut stream, &mut received, &seen).await {
        if stream.write_all(answer(&head).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Takes one request from the beginning of `received`. `None` if it never became whole.
async fn request(
    stream: &mut UnixStream,
    received: &mut Vec<u8>,
    seen: &Seen,
) -> Result<Option<Head>, String> {
    let fail = |fault: String| {
        seen.borrow_mut().push(Err(fault.clone()));
        fault
    };
    let (head, length) = loop {
        match Head::read(received).map_err(fail)? {
            Some(head) => break head,
            None if read(stream, received).await => {}
            None => return Ok(None),
        }
    };
    seen.borrow_mut().push(Ok(head.clone()));
    received.drain(..length);
    let framing = head.framing().map_err(fail)?.unwrap_or(Framing::Length(0));
    let length = loop {
        match framing.length(received).map_err(fail)? {
            Some(length) => break length,
            None if read(stream, received).await => {}
            None => return Ok(None),
        }
    };
    received.drain(..length);
    Ok(Some(head))
}

async fn read(stream: &mut UnixStream, received: &mut Vec<u8>) -> bool {
    stream.read_buf(received).await.is_ok_and(|count| count > 0)
}

fn answer(head: &Head) -> String {
    let (method, target) = head.start.split_once(' ').unwrap_or_default();
    let upload = "Location: http://inner:5000/v2/team/app/blobs/uploads/7?_state=a%3D\r\nRange: 0-0\r\n";
    match method {
        "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\n".to_owned(),
        "GET" if target.starts_with("/v2/_catalog") => {
            let body = r#"{"repositories":["hidden/app","team/app"]}"#;
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        "GET" if target.contains("/tags/list") => {
            "HTTP/1.1 200 OK\r\nLink: </v2/team/app/tags/list?n=1&last=a>; rel=\"next\"\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                .to_owned()
        }
        "GET" => {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDocker-Distribution-API-Version: registry/2.0\r\n\r\n{}"
                .to_owned()
        }
        "POST" | "PATCH" => format!("HTTP/1.1 202 Accepted\r\n{upload}Content-Length: 0\r\n\r\n"),
        "PUT" => {
            "HTTP/1.1 201 Created\r\nLocation: /v2/team/app/blobs/sha256:aa\r\nContent-Length: 0\r\n\r\n"
                .to_owned()
        }
        _ => "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}
