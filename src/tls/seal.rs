//! TLS 1.3 records under AES-GCM, filled in small pieces.
//!
//! rustls copies the plaintext of a record, up to 16 KiB, in one go and seals it in place. glibc does a copy beyond
//! some 2 KiB with `rep movsb`, which on Zen 3 and Zen 4 falls to 3 GB/s when source and destination lie nearly
//! alike within their pages, as a buffer that was read into and a record do: a third of the CPU of a plain proxy's
//! pull. A copy below that length is done with vector registers. On Zen 5 the two cost the same.
//!
//! Nothing else differs from rustls' encrypter, and the records are the same byte for byte (RFC 8446, section 5.2).
//! What goes into a record, the sequence numbers, the keys and how long one may be used stay with rustls; the
//! nonces are checked once more by the sealing key of aws-lc, which refuses one that does not rise.

use aws_lc_rs::aead::{Aad, Algorithm, Nonce, TlsProtocolId, TlsRecordSealingKey};
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, Nonce as RecordNonce, OutboundOpaqueMessage,
    OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm, UnsupportedOperationError, make_tls13_aad,
};
use rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion, SupportedCipherSuite,
    Tls13CipherSuite,
};

/// `stock`, a TLS 1.3 suite of rustls whose cipher is the AES-GCM `algorithm`, with records filled in pieces. A
/// suite of TLS 1.2 comes back as it is.
///
/// rustls wants suites that live as long as the process, so each call leaks one: call it once per suite.
pub(super) fn in_pieces(stock: SupportedCipherSuite, algorithm: &'static Algorithm) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = stock else { return stock };
    let aead = Box::leak(Box::new(InPieces { algorithm, stock: suite.aead_alg }));
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { ..suite.common },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: aead,
        quic: suite.quic,
    })))
}

/// The stock algorithm with another encrypter.
struct InPieces {
    algorithm: &'static Algorithm,
    stock: &'static dyn Tls13AeadAlgorithm,
}

impl Tls13AeadAlgorithm for InPieces {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        match TlsRecordSealingKey::new(self.algorithm, TlsProtocolId::TLS13, key.as_ref()) {
            Ok(key) => Box::new(Sealer { key, iv }),
            // Only a key of the wrong length ends here, and rustls says what it thinks of that.
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

/// Bytes copied at a time: a multiple of every vector register, below glibc's threshold (2,112 on Zen 3 and later).
const PIECE: usize = 1984;

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
        let mut rest = message.payload;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(PIECE);
            record.extend_from_chunks(&piece);
            rest = after;
        }
        record.extend_from_slice(&message.typ.to_array());
        let nonce = Nonce::assume_unique_for_key(RecordNonce::new(&self.iv, sequence).0);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(make_tls13_aad(length)), &mut record)
            .map_err(|_| Error::EncryptError)?;
        // The outer type and version of every TLS 1.3 record that is encrypted.
        Ok(OutboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, record))
    }

    /// The plaintext, the byte of its content type, the tag.
    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + self.key.algorithm().tag_len()
    }
}

#[cfg(test)]
mod tests;
