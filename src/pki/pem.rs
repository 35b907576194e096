//! PEM files (RFC 7468) of certificates, private keys and revocation lists.

use std::iter;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls_pemfile::{Item, read_one_from_slice};

/// Why the contents of a file cannot be used. The message completes a sentence that starts with the
/// file's name. It gives the remedy and never quotes the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    #[error("is empty")]
    Empty,
    #[error(
        "holds no PEM text; if it is a binary (DER) file, convert it with `openssl x509 -inform der`, \
         `openssl pkey -inform der` or `openssl crl -inform der`"
    )]
    NotPem,
    #[error("holds a damaged or truncated PEM block; write the file again")]
    Damaged,
    #[error("holds no certificate, only a private key; are certificate and key swapped?")]
    KeyForCertificate,
    #[error("holds no certificate; it must hold the chain in PEM form, the server's own certificate first")]
    NoCertificate,
    #[error("holds no private key, only certificates; are certificate and key swapped?")]
    CertificateForKey,
    #[error("holds no list of revoked certificates (X509 CRL); create one with `tidegate cert ca --crl`")]
    NoRevocationList,
    #[error(
        "holds no private key; it must hold one in PEM form: PRIVATE KEY (PKCS#8), RSA PRIVATE KEY or EC PRIVATE KEY"
    )]
    NoKey,
    #[error("is encrypted; decrypt it with `openssl pkey -in FILE -out NEW-FILE` and name the new file")]
    EncryptedKey,
    #[error("holds {0} private keys; leave only the one that belongs to the certificate")]
    SeveralKeys(usize),
}

impl PemError {
    /// Returns whether the file may contain a key, or part of one, that needs protection.
    pub(crate) fn leaves_a_key(self) -> bool {
        matches!(self, Self::Damaged | Self::EncryptedKey | Self::SeveralKeys(_))
    }
}

/// Returns all certificates, at least one, in the order of the file. Skips other blocks and text
/// around blocks.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let items = items(text)?;
    let holds_key = items.iter().any(|item| key(item).is_some());
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            Item::X509Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if !certificates.is_empty() {
        Ok(certificates)
    } else if holds_key {
        Err(PemError::KeyForCertificate)
    } else {
        Err(PemError::NoCertificate)
    }
}

/// Returns all revocation lists, at least one, in the order of the file. A DER file, the usual
/// download format, is a single list.
pub(crate) fn revocation_lists(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    if matches!(bytes, [DER_SEQUENCE, length, ..] if DER_LONG.contains(length)) {
        return Ok(vec![bytes.to_vec().into()]);
    }
    let lists: Vec<_> = items(bytes)?
        .into_iter()
        .filter_map(|item| match item {
            Item::Crl(list) => Some(list),
            _ => None,
        })
        .collect();
    if lists.is_empty() { Err(PemError::NoRevocationList) } else { Ok(lists) }
}

/// The first bytes of DER (X.690) of more than 127 bytes. No text starts with them.
const DER_SEQUENCE: u8 = 0x30;
const DER_LONG: RangeInclusive<u8> = 0x81..=0x84;

/// Returns the only private key of the file, in PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC1 (RFC
/// 5915).
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    if is_encrypted(text) {
        return Err(PemError::EncryptedKey);
    }
    let items = items(text)?;
    let mut keys: Vec<_> = items.iter().filter_map(key).collect();
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => Ok(key),
        (0, _) if items.iter().any(|item| matches!(item, Item::X509Certificate(_))) => {
            Err(PemError::CertificateForKey)
        }
        (0, _) => Err(PemError::NoKey),
        (several, _) => Err(PemError::SeveralKeys(several)),
    }
}

/// Encodes one block, in lines of 64 characters (RFC 7468 section 2).
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = STANDARD.encode(der);
    for end in (1..text.len().div_ceil(LINE)).rev() {
        text.insert(end * LINE, '\n');
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

const LINE: usize = 64;

fn items(text: &[u8]) -> Result<Vec<Item>, PemError> {
    // Windows editors start a file with a byte order mark, which would hide the first BEGIN.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(PemError::Empty);
    }
    if !lines(text).any(|line| line.starts_with(b"-----BEGIN ")) {
        return Err(PemError::NotPem);
    }
    let mut rest = text;
    iter::from_fn(|| match read_one_from_slice(rest) {
        Ok(None) => None,
        Ok(Some((item, after))) => {
            rest = after;
            Some(Ok(item))
        }
        // The library's error quotes the line, and a line of a key must not reach a log.
        Err(_) => Some(Err(PemError::Damaged)),
    })
    .collect()
}

fn key(item: &Item) -> Option<PrivateKeyDer<'static>> {
    match item {
        Item::Pkcs8Key(key) => Some(key.clone_key().into()),
        Item::Pkcs1Key(key) => Some(key.clone_key().into()),
        Item::Sec1Key(key) => Some(key.clone_key().into()),
        _ => None,
    }
}

/// Encrypted PKCS#8 has a separate label. OpenSSL's older encryption is marked by a header inside
/// the block (RFC 1421).
fn is_encrypted(text: &[u8]) -> bool {
    lines(text).any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"))
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end)
}

#[cfg(test)]
mod tests;
