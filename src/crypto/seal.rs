//! TLS 1.3 records under AES-GCM, sealed from where the plaintext lies.
//!
//! rustls copies the plaintext of a record, up to 16 KiB, and seals the copy in place. glibc makes
//! that copy with `rep movsb`. On Zen 3 and Zen 4 this falls to 3 GB/s when source and destination
//! lie nearly alike within their pages, as a read buffer and a record do. There the copy was a
//! third of the CPU of a plain proxy's pull. Here the cipher reads the plaintext and writes the
//! record, which must be filled with zeros first. On Zen 5 this saves a few percent of the sealing.
//!
//! The records are byte for byte those of rustls' encrypter (RFC 8446, section 5.2). rustls still
//! decides what a record holds, numbers the records, and limits how long a key is used. The sealing
//! key of aws-lc checks the nonces once more: it refuses one that does not rise.

use std::iter::repeat_n;

use aws_lc_rs::aead::{Aad, Algorithm, Nonce, TlsProtocolId, TlsRecordSealingKey};
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, Nonce as RecordNonce, OutboundChunks,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion, SupportedCipherSuite,
    Tls13CipherSuite,
};

/// `stock`, a TLS 1.3 suite of rustls whose cipher is the AES-GCM `algorithm`, with records sealed
/// out of place. A suite of TLS 1.2 comes back as it is.
///
/// rustls needs suites that live as long as the process, so each call leaks one. Call it once per
/// suite.
pub(super) fn out_of_place(
    stock: SupportedCipherSuite,
    algorithm: &'static Algorithm,
) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = stock else { return stock };
    let aead = Box::leak(Box::new(OutOfPlace { algorithm, stock: suite.aead_alg }));
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { ..suite.common },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: aead,
        quic: suite.quic,
    })))
}

/// The stock algorithm with another encrypter.
struct OutOfPlace {
    algorithm: &'static Algorithm,
    stock: &'static dyn Tls13AeadAlgorithm,
}

impl Tls13AeadAlgorithm for OutOfPlace {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        match TlsRecordSealingKey::new(self.algorithm, TlsProtocolId::TLS13, key.as_ref()) {
            Ok(key) => Box::new(Sealer { key, iv }),
            // Only a key of the wrong length fails; the stock encrypter reports that.
            Err(_) => self.stock.encrypter(key, iv),
        }
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.stock.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.stock.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.stock.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.stock.fips()
    }
}

struct Sealer {
    key: TlsRecordSealingKey,
    iv: Iv,
}

impl MessageEncrypter for Sealer {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        sequence: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = self.encrypted_payload_len(message.payload.len());
        let mut record = PrefixedPayload::with_capacity(length);
        let nonce = Nonce::assume_unique_for_key(RecordNonce::new(&self.iv, sequence).0);
        let aad = Aad::from(make_tls13_aad(length));
        let typ = message.typ.to_array();
        let sealed = match message.payload {
            OutboundChunks::Single(content) => {
                record.extend(repeat_n(&0, length));
                let (ciphertext, typ_and_tag) = record.as_mut().split_at_mut(content.len());
                self.key.seal_out_of_place_scatter(nonce, aad, content, ciphertext, &typ, typ_and_tag)
            }
            chunks @ OutboundChunks::Multiple { .. } => {
                record.extend_from_chunks(&chunks);
                record.extend_from_slice(&typ);
                self.key.seal_in_place_append_tag(nonce, aad, &mut record)
            }
        };
        sealed.map_err(|_| Error::EncryptError)?;
        // The outer type and version of every TLS 1.3 record that is encrypted.
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, record))
    }

    /// The length of the plaintext, its content type (one byte) and the tag.
    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + self.key.algorithm().tag_len()
    }
}

#[cfg(test)]
mod tests;
