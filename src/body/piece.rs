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

/// The piece that is about to be written. Whoever gets a reference to its bytes can keep the piece
/// instead of a copy.
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
    use super::*;

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
        for other in [None, Some(&b"piece".to_vec()[..]), Some(&piece.chunk()[1..]), Some(&piece.chunk()[..4])] {
            assert_eq!(piece.chunks_vectored(&mut [IoSlice::new(&[])]), 1);
            assert_eq!(shown.take(other), None);
            assert_eq!(shown.take(Some(piece.chunk())), None, "only once");
        }
        assert_eq!(Piece::new(Bytes::from_static(b"piece"), None).chunks_vectored(&mut []), 0);
    }
}
