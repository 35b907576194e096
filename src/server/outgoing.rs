//! Records on their way to a client.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem::take;
use std::task::Poll;

use rustls::server::ServerConnectionData;
use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError};

use crate::body::backlog::Charge;

/// Buffers that a worker keeps for the next connection that sends. A connection that waits for its
/// client keeps its own.
const SPARES: usize = 2;
/// The room in which a handshake message is tried first.
const SHORT: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Records that wait to be sent.
#[derive(Default)]
pub(super) struct Outgoing {
    records: Vec<u8>,
    filled: usize,
    sent: usize,
    /// The memory, while the client does not accept it.
    charge: Charge,
}

impl Outgoing {
    /// Bytes that wait to be sent. Of a batch that was sent in part, all of its bytes.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Sends with `write` until nothing waits.
    pub(super) fn poll_drain(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.filled {
            let Poll::Ready(result) = write(&self.records[self.sent..self.filled]) else {
                self.charge.set(self.records.capacity());
                return Poll::Pending;
            };
            match result? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                bytes => self.sent += bytes,
            }
        }
        let records = take(self).records;
        if !records.is_empty() {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARES {
                    spare.push(records);
                }
            });
        }
        Poll::Ready(Ok(()))
    }

    /// Makes room for `size` bytes, which is cheaper than to make room for each of their records.
    pub(super) fn reserve(&mut self, size: usize) {
        self.room(size);
    }

    /// Appends a record.
    pub(super) fn append(&mut self, record: &[u8]) {
        self.room(record.len())[..record.len()].copy_from_slice(record);
        self.filled += record.len();
    }

    /// Appends the record of `size` bytes that `write` writes.
    pub(super) fn add(
        &mut self,
        size: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), rustls::Error>,
    ) -> Result<(), rustls::Error> {
        write(&mut self.room(size)[..size])?;
        self.filled += size;
        Ok(())
    }

    /// Appends the records that rustls writes, which need about `size` bytes.
    pub(super) fn fill(
        &mut self,
        mut size: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), EncryptError> {
        loop {
            match write(self.room(size)) {
                Ok(written) => {
                    self.filled += written;
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(error)) if error.required_size > size => {
                    size = error.required_size;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends a handshake message, an answer to a key update, or an alert.
    pub(super) fn encode(
        &mut self,
        message: &mut EncodeTlsData<'_, ServerConnectionData>,
    ) -> Result<(), rustls::Error> {
        let mut size = SHORT;
        loop {
            match message.encode(self.room(size)) {
                Ok(written) => {
                    self.filled += written;
                    return Ok(());
                }
                Err(EncodeError::InsufficientSize(error)) if error.required_size > size => {
                    size = error.required_size;
                }
                Err(error) => return Err(rustls::Error::General(error.to_string())),
            }
        }
    }

    fn room(&mut self, size: usize) -> &mut [u8] {
        let end = self.filled + size;
        if self.records.is_empty() {
            self.records = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        if self.records.len() < end {
            self.records.reserve_exact(end - self.records.len());
            self.records.resize(end, 0);
        }
        &mut self.records[self.filled..]
    }
}

#[cfg(test)]
impl Outgoing {
    pub(super) fn capacity(&self) -> usize {
        self.records.capacity()
    }
}
