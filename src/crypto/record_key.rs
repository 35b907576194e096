//! The key of one direction of a TLS 1.3 connection, and the records under it (RFC 8446, section
//! 5).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey,
};
use rustls::crypto::cipher::{AeadKey, Iv, Nonce as RecordNonce, make_tls13_aad};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, PeerMisbehaved};

/// The length of a record's header: type, version, and the length of the rest.
pub(crate) const HEADER: usize = 5;
/// The most content of a record.
pub const CONTENT: usize = 1 << 14;
/// What a record is longer than its content: header, content type and tag.
pub const OVERHEAD: usize = HEADER + 1 + MAX_TAG_LEN;

/// Most bytes of the second part of a record: the header of an HTTP/2 frame, to which h2 adds
/// payload up to 256 bytes.
pub(crate) const AFTER: usize = 256;

/// A key that numbers its records, and so uses each nonce once. It either seals or opens.
pub struct RecordKey {
    algorithm: &'static Algorithm,
    key: AeadKey,
    /// What the cipher makes of the key: 600 bytes. `None` while the connection rests.
    cipher: Option<Box<LessSafeKey>>,
    iv: Iv,
    /// The number of the next record.
    next: u64,
}

impl RecordKey {
    /// The key of `secrets` for the records from the number `next` on.
    pub fn new((next, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        use ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm, Chacha20Poly1305};
        let (algorithm, key, iv) = match secrets {
            Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("records of an unknown cipher".to_owned())),
        };
        Ok(Self { algorithm, key, cipher: None, iv, next })
    }

    /// Frees the memory that is needed only for records.
    pub(super) fn rest(&mut self) {
        self.cipher = None;
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Seals `content` into `record`, which is longer by [`OVERHEAD`].
    pub fn seal(&mut self, typ: ContentType, content: &[u8], record: &mut [u8]) -> Result<(), Error> {
        self.seal_with_end(content, &typ.to_array(), record)
    }

    /// Seals `content` and what comes `after` it, at most [`AFTER`] bytes, into one record.
    pub(super) fn seal_both(
        &mut self,
        typ: ContentType,
        content: &[u8],
        after: &[u8],
        record: &mut [u8],
    ) -> Result<(), Error> {
        let mut end = [0; AFTER + 1];
        let end = end.get_mut(..after.len() + 1).ok_or(Error::EncryptError)?;
        end[..after.len()].copy_from_slice(after);
        end[after.len()] = typ.into();
        self.seal_with_end(content, end, record)
    }

    /// Seals `content` and `end`, which ends with the content type.
    fn seal_with_end(&mut self, content: &[u8], end: &[u8], record: &mut [u8]) -> Result<(), Error> {
        let nonce = self.nonce();
        let Parts { header, content: ciphertext, end: sealed_end } = Parts::of(record, end.len())?;
        self.cipher()?
            .seal_out_of_place_scatter(nonce, Aad::from(header), content, ciphertext, end, sealed_end)
            .map_err(|_| Error::EncryptError)?;
        self.next += 1;
        Ok(())
    }

    /// Seals what `write` writes where the content of `record` belongs. It must write all of it.
    pub(super) fn seal_in_place(
        &mut self,
        typ: ContentType,
        record: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Error> {
        let nonce = self.nonce();
        let typ = typ.to_array();
        let Parts { header, content, end } = Parts::of(record, typ.len())?;
        write(content);
        self.cipher()?
            .seal_in_place_scatter(nonce, Aad::from(header), content, &typ, end)
            .map_err(|_| Error::EncryptError)?;
        self.next += 1;
        Ok(())
    }

    /// Opens a whole record in place. Returns its type and its content without the padding. The
    /// content stands directly behind the header.
    pub(super) fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<(ContentType, &'a [u8]), Error> {
        let nonce = self.nonce();
        let (header, sealed) = record.split_first_chunk_mut::<HEADER>().ok_or(Error::DecryptError)?;
        let inner = self
            .cipher()?
            .open_in_place(nonce, Aad::from(&*header), sealed)
            .map_err(|_| Error::DecryptError)?;
        self.next += 1;
        if inner.len() > CONTENT + 1 {
            return Err(Error::PeerSentOversizedRecord);
        }
        let end =
            inner.iter().rposition(|&byte| byte != 0).ok_or(PeerMisbehaved::IllegalTlsInnerPlaintext)?;
        Ok((ContentType::from(inner[end]), &inner[..end]))
    }

    #[cfg(test)]
    pub(super) fn rests(&self) -> bool {
        self.cipher.is_none()
    }

    fn cipher(&mut self) -> Result<&LessSafeKey, Error> {
        let cipher = match self.cipher.take() {
            Some(cipher) => cipher,
            None => {
                let key = UnboundKey::new(self.algorithm, self.key.as_ref());
                Box::new(LessSafeKey::new(key.map_err(|_| Error::EncryptError)?))
            }
        };
        Ok(self.cipher.insert(cipher))
    }

    fn nonce(&self) -> Nonce {
        Nonce::assume_unique_for_key(RecordNonce::new(&self.iv, self.next).0)
    }
}

/// A record that is being sealed.
struct Parts<'a> {
    header: [u8; HEADER],
    content: &'a mut [u8],
    /// Where the end of the content, its type and the tag belong.
    end: &'a mut [u8],
}

impl<'a> Parts<'a> {
    /// Writes the header of a record, and returns its parts. `end` bytes of it belong between
    /// content and tag.
    fn of(record: &'a mut [u8], end: usize) -> Result<Self, Error> {
        let (header, sealed) = record.split_first_chunk_mut::<HEADER>().ok_or(Error::EncryptError)?;
        *header = make_tls13_aad(sealed.len());
        let content = sealed.len().checked_sub(end + MAX_TAG_LEN).ok_or(Error::EncryptError)?;
        let (content, end) = sealed.split_at_mut(content);
        Ok(Self { header: *header, content, end })
    }
}
