//! Bytes to send. One buffer is repeated, so that twenty gibibytes need no more memory than one
//! chunk.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use aws_lc_rs::digest;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

pub const CHUNK: usize = 256 * 1024;

/// After this many chunks, other tasks of the thread get a turn. Otherwise a manifest would wait in
/// the upstream until a blob is complete.
const TURN: u32 = 1;

static CONTENT: LazyLock<Bytes> = LazyLock::new(|| (0..CHUNK).map(|at| (at % 251) as u8).collect());

/// The chunk that all blobs repeat.
pub fn chunk() -> Bytes {
    CONTENT.clone()
}

/// A body of known length.
#[derive(Clone)]
pub struct Blob {
    chunk: Bytes,
    left: u64,
    turn: u32,
}

impl Blob {
    pub fn of_size(size: u64) -> Blob {
        Blob { chunk: chunk(), left: size, turn: TURN }
    }

    pub fn of_bytes(bytes: Bytes) -> Blob {
        Blob { left: bytes.len() as u64, chunk: bytes, turn: TURN }
    }

    pub fn empty() -> Blob {
        Blob::of_bytes(Bytes::new())
    }

    /// The digest of the whole content, `sha256:<hex>`.
    pub fn digest(self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for piece in self {
            context.update(&piece);
        }
        let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// The content, chunk by chunk.
impl Iterator for Blob {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = self.left.min(self.chunk.len() as u64);
        self.left -= length;
        (length > 0).then(|| self.chunk.slice(..length as usize))
    }
}

impl Body for Blob {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.turn == 0 {
            self.turn = TURN;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.turn -= 1;
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
