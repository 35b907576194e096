//! What a registry answers to a GET or a HEAD. The first byte of an input says to which, in its
//! lowest bit, and in the others how many bytes arrive at once.
//!
//! However the bytes arrive, we understand the same. Where we understand a whole answer, hyper
//! understands the same one.

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};

use crate::upstream::fixtures::{answer_with, read_answer};

const AT_ONCE: usize = 1 << 20;

/// Checks one input.
pub(super) fn answers(bytes: &[u8]) {
    thread_local!(static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().build().expect("the system gives a thread its runtime"));
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let method = if first & 1 == 0 { Method::GET } else { Method::HEAD };
    let at_once = usize::from(first >> 1) + 1;
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let ours = read_answer(method.clone(), bytes, AT_ONCE).await;
            let in_pieces = read_answer(method.clone(), bytes, at_once).await;
            assert_eq!(comparable(&in_pieces), comparable(&ours));
            if let Some((head, Some(body))) = ours {
                let hyper = answer_with(bytes, AT_ONCE, async |stream| hyper(method, stream).await).await;
                let (mut other_head, other_body) = hyper.expect("hyper understands it");
                if let Some(length) = other_head.headers().get(CONTENT_LENGTH).cloned() {
                    // hyper leaves it as often as it is there.
                    other_head.headers_mut().insert(CONTENT_LENGTH, length);
                }
                assert_eq!((head.status(), head.version()), (other_head.status(), other_head.version()));
                assert_eq!(head.headers(), other_head.headers());
                assert_eq!(body, other_body);
            }
        });
    });
}

/// A head, and a body.
type Understood = (Response<()>, Option<Vec<u8>>);

fn comparable(understood: &Option<Understood>) -> String {
    format!("{understood:?}")
}

/// What hyper understands of an answer, if that is whole.
async fn hyper(method: Method, stream: DuplexStream) -> Option<(Response<()>, Vec<u8>)> {
    let (mut sender, driver) =
        http1::Builder::new().max_buf_size(AT_ONCE).handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method;
    let answer = async move {
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        Some((Response::from_parts(head, ()), body.collect().await.ok()?.to_bytes().to_vec()))
    };
    // How the connection ends shows in the answer.
    tokio::join!(answer, async { _ = driver.await }).0
}
