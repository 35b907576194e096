//! A part of an answer's body on its way to the client.

use std::cell::RefCell;
use std::io::IoSlice;
use std::ptr;
use std::rc::Rc;

use bytes::{Buf, Bytes};

/// Bytes of an answer. Over HTTP/2, they show themselves to the connection's TLS session when they
/// are about to be written.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    shown: Option<Rc<Shown>>,
}

/// The piece that is about to be written. The session, which then gets a reference to its bytes,
/// can keep the piece instead of a copy.
#[derive(Debug, Default)]
pub(crate) struct Shown(RefCell<Option<Bytes>>);

impl Piece {
    pub(crate) fn new(bytes: Bytes, shown: Option<Rc<Shown>>) -> Self {
        Self { bytes, shown }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    /// h2 calls this directly before each write. Other calls do no harm.
    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(slice) = slices.first_mut().filter(|_| !self.bytes.is_empty()) else { return 0 };
        *slice = IoSlice::new(&self.bytes);
        if let Some(shown) = &self.shown {
            shown.0.replace(Some(self.bytes.clone()));
        }
        1
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Shown {
    /// Takes the piece that was shown last. Returns it if `bytes` are all of it.
    pub(crate) fn take(&self, bytes: Option<&[u8]>) -> Option<Bytes> {
        self.0.take().filter(|piece| bytes.is_some_and(|bytes| ptr::eq(&**piece, bytes)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http::{Request, Response};
    use http_body::{Body, Frame};
    use hyper::rt::Executor;
    use hyper::server::conn::http2;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::body::HTTP2_PIECE;

    const PIECES: usize = 20;
    /// The header of a frame, and the payload that h2 adds to it.
    const HEAD: usize = 256;

    /// Writes the whole piece, and returns what was written and whether it was shown.
    fn write(piece: &Piece, shown: &Shown) -> (Vec<u8>, bool) {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = piece.chunks_vectored(&mut slices);
        let bytes = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        (bytes, shown.take(slices[..count].first().map(|slice| &**slice)).is_some())
    }

    #[test]
    fn a_piece_shows_what_is_left_of_it() {
        let shown = Rc::new(Shown::default());
        let mut piece = Piece::new(Bytes::from_static(b"piece"), Some(shown.clone()));
        assert_eq!(write(&piece, &shown), (b"piece".to_vec(), true));
        piece.advance(2);
        assert_eq!(write(&piece, &shown), (b"ece".to_vec(), true));
        piece.advance(3);
        assert_eq!(write(&piece, &shown), (Vec::new(), false));
    }

    #[test]
    fn other_bytes_are_not_the_piece() {
        let shown = Rc::new(Shown::default());
        let piece = Piece::new(Bytes::from_static(b"piece"), Some(shown.clone()));
        for other in
            [None, Some(&b"piece".to_vec()[..]), Some(&piece.chunk()[1..]), Some(&piece.chunk()[..4])]
        {
            assert_eq!(piece.chunks_vectored(&mut [IoSlice::new(&[])]), 1);
            assert_eq!(shown.take(other), None);
            assert_eq!(shown.take(Some(piece.chunk())), None, "only once");
        }
        assert_eq!(Piece::new(Bytes::from_static(b"piece"), None).chunks_vectored(&mut []), 0);
    }

    /// Counts the pieces that can be kept instead of a copy.
    struct Counting {
        stream: DuplexStream,
        shown: Rc<Shown>,
        kept: Rc<Cell<usize>>,
    }

    impl AsyncRead for Counting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if let [first, rest] = slices
                && first.len() <= HEAD
                && self.shown.take(Some(rest)).is_some()
            {
                self.kept.set(self.kept.get() + 1);
            }
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            self.poll_write(cx, &bytes)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    struct Pieces(usize, Rc<Shown>);

    impl Body for Pieces {
        type Data = Piece;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
            if self.0 == 0 {
                return Poll::Ready(None);
            }
            self.0 -= 1;
            let piece = Piece::new(vec![self.0 as u8; HTTP2_PIECE].into(), Some(self.1.clone()));
            Poll::Ready(Some(Ok(Frame::data(piece))))
        }
    }

    #[derive(Clone)]
    struct Local;

    impl<F: Future + 'static> Executor<F> for Local {
        fn execute(&self, future: F) {
            spawn_local(async { _ = future.await });
        }
    }

    #[tokio::test]
    async fn h2_shows_each_piece_when_it_writes_its_frame() {
        let (shown, kept) = (Rc::new(Shown::default()), Rc::new(Cell::new(0)));
        let (stream, client) = duplex(1 << 20);
        let server = Counting { stream, shown: shown.clone(), kept: kept.clone() };
        let answer = service_fn(move |_| {
            let pieces = Pieces(PIECES, shown.clone());
            async { Ok::<_, Infallible>(Response::new(pieces)) }
        });
        let exchange = async {
            spawn_local(http2::Builder::new(Local).serve_connection(TokioIo::new(server), answer));
            let (mut requests, connection) = h2::client::Builder::new()
                .initial_window_size(1 << 20)
                .initial_connection_window_size(1 << 20)
                .handshake::<_, Bytes>(client)
                .await
                .unwrap();
            spawn_local(connection);
            let (answer, _) = requests.send_request(Request::new(()), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            let mut received = 0;
            while let Some(bytes) = poll_fn(|cx| body.poll_data(cx)).await {
                received += bytes.unwrap().len();
            }
            received
        };
        assert_eq!(LocalSet::new().run_until(exchange).await, PIECES * HTTP2_PIECE);
        assert_eq!(kept.get(), PIECES);
    }
}
