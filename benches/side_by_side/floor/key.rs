//! TLS records under AES-128-GCM, opened and sealed from one buffer into another.

use std::io::{self, ErrorKind};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{Iv, Nonce as RecordNonce};

const HEADER: usize = 5;
/// The most plaintext of one record.
pub const CONTENT: usize = 16 * 1024;
const TAG: usize = 16;
const APPLICATION_DATA: u8 = 23;

pub struct Key {
    key: LessSafeKey,
    iv: Iv,
    sequence: u64,
}

impl Key {
    pub fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> io::Result<Key> {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            return Err(io::Error::other("another cipher"));
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).map_err(io::Error::other)?;
        Ok(Key { key: LessSafeKey::new(key), iv, sequence })
    }

    fn nonce(&mut self) -> Nonce {
        let nonce = RecordNonce::new(&self.iv, self.sequence).0;
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// Returns the length of the content. Anything but application data ends the connection.
    pub fn open(&mut self, record: &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let (header, sealed) = record.split_at(HEADER);
        let length = sealed.len().checked_sub(TAG).ok_or(ErrorKind::InvalidData)?;
        let (ciphertext, tag) = sealed.split_at(length);
        let plain = &mut plain[..length];
        let nonce = self.nonce();
        let opened = self.key.open_separate_gather(nonce, Aad::from(header), ciphertext, tag, plain);
        opened.map_err(io::Error::other)?;
        if plain.last() == Some(&APPLICATION_DATA) {
            Ok(length - 1)
        } else {
            Err(ErrorKind::InvalidData.into())
        }
    }

    /// Returns the length of the record.
    pub fn seal(&mut self, content: &[u8], record: &mut [u8]) -> io::Result<usize> {
        let length = content.len() + 1 + TAG;
        let [high, low] = (length as u16).to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        let (start, sealed) = record[..HEADER + length].split_at_mut(HEADER);
        start.copy_from_slice(&header);
        let (ciphertext, typ_and_tag) = sealed.split_at_mut(content.len());
        let (nonce, aad, typ) = (self.nonce(), Aad::from(header), [APPLICATION_DATA]);
        let sealed = self.key.seal_out_of_place_scatter(nonce, aad, content, ciphertext, &typ, typ_and_tag);
        sealed.map_err(io::Error::other)?;
        Ok(HEADER + length)
    }
}

/// The first record, if it is complete.
pub fn record(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]));
    bytes.get(..HEADER + length)
}
