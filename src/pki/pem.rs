//! PEM files (RFC 7468): the certificates, the private key or the revocation lists in one. The only file that knows rustls-pemfile.

use std::iter;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls_pemfile::{Item, read_one_from_slice};

/// Why the bytes of a file are not what they should be. Displayed after the file's name, each is one
/// sentence with its remedy; none holds any of the file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("is empty")]
    Empty,
    #[error(
        "holds no PEM text; if it is a binary (DER) file, convert it with `openssl x509 -inform der`, \
         `openssl pkey -inform der` or `openssl crl -inform der`"
    )]
    NotPem,
    #[error("holds a PEM block that is damaged or cut short; write the file anew")]
    Damaged,
    #[error("holds no certificate, only a private key; are certificate and key swapped?")]
    KeyForCertificate,
    #[error("holds no certificate; it must hold the chain in PEM form, the server's own certificate first")]
    NoCertificate,
    #[error("holds no private key, only certificates; are certificate and key swapped?")]
    CertificateForKey,
    #[error("holds no list of revoked certificates (X509 CRL); `tidegate cert ca --crl` makes one")]
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

impl Fault {
    /// The file holds a key all the same, or a part of one, that is worth protecting.
    pub(crate) fn leaves_a_key(self) -> bool {
        matches!(self, Self::Damaged | Self::EncryptedKey | Self::SeveralKeys(_))
    }
}

/// All certificates in the order of the file, at least one. Text around the blocks and blocks of other
/// kinds are skipped.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
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
        Err(Fault::KeyForCertificate)
    } else {
        Err(Fault::NoCertificate)
    }
}

/// All lists of revoked certificates in the order of the file, at least one; without PEM armour, as CAs offer them for
/// download, just one.
pub(crate) fn revocation_lists(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Fault> {
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
    if lists.is_empty() { Err(Fault::NoRevocationList) } else { Ok(lists) }
}

/// What a list of more than 127 bytes begins with in DER (X.690), and no text does.
const DER_SEQUENCE: u8 = 0x30;
const DER_LONG: RangeInclusive<u8> = 0x81..=0x84;

/// The one private key of the file: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC1 (RFC 5915).
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    if is_encrypted(text) {
        return Err(Fault::EncryptedKey);
    }
    let items = items(text)?;
    let mut keys: Vec<_> = items.iter().filter_map(key).collect();
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => Ok(key),
        (0, _) if items.iter().any(|item| matches!(item, Item::X509Certificate(_))) => {
            Err(Fault::CertificateForKey)
        }
        (0, _) => Err(Fault::NoKey),
        (several, _) => Err(Fault::SeveralKeys(several)),
    }
}

/// The text of one block, its lines 64 characters long (RFC 7468 section 2).
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = STANDARD.encode(der);
    for end in (1..text.len().div_ceil(LINE)).rev() {
        text.insert(end * LINE, '\n');
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

const LINE: usize = 64;

fn items(text: &[u8]) -> Result<Vec<Item>, Fault> {
    // Windows editors put a byte order mark before the first line, which would hide its BEGIN.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    if !lines(text).any(|line| line.starts_with(b"-----BEGIN ")) {
        return Err(Fault::NotPem);
    }
    let mut rest = text;
    iter::from_fn(|| match read_one_from_slice(rest) {
        Ok(None) => None,
        Ok(Some((item, after))) => {
            rest = after;
            Some(Ok(item))
        }
        // The library's error quotes the line; a line of a key must not reach a log.
        Err(_) => Some(Err(Fault::Damaged)),
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

/// PKCS#8 encryption has its own label; the older one of OpenSSL is a header inside the block (RFC 1421).
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
