//! Reading a certificate chain and its private key together.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};

use super::facts::Facts;
use super::pem;
use crate::config::CertificateFiles;
use crate::crypto::provider;
use crate::disk::{self, Content};
use crate::problem::Problem;

/// The contents of the two files. Without problems, both parts are present and belong together.
#[derive(Debug)]
pub(crate) struct Pair {
    /// At least one certificate, if the file could be read.
    pub(crate) chain: Option<Vec<Certificate>>,
    /// The private key, if the file could be read.
    pub(crate) key: Option<Key>,
    /// All problems with the two files. The contents of the certificates are checked by
    /// [`super::check_chain`].
    pub(crate) problems: Vec<Problem>,
}

/// One certificate and its facts.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) facts: Facts,
}

/// A private key as DER and as a signer.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) der: PrivateKeyDer<'static>,
    pub(crate) signing: Arc<dyn SigningKey>,
}

/// Reads both files. A renewal replaces the two files one after the other, so both are read again a
/// few times while they do not match. Blocks for less than [`TRIES`] × [`PAUSE`].
pub(crate) fn read(files: &CertificateFiles) -> Pair {
    read_with(files, open)
}

const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn read_with(
    files: &CertificateFiles,
    mut open: impl FnMut(&Path) -> io::Result<Content>,
) -> Pair {
    let mut tries = 1;
    loop {
        let mut problems = Vec::new();
        let chain = read_chain(&files.certificate, &mut open).map_err(|problem| problems.push(problem)).ok();
        let key = read_key(&files.key, &mut open, &mut problems);
        if let (Some(chain), Some(key)) = (&chain, &key)
            && let Some(mismatch) = mismatch(files, chain, key)
        {
            if tries < TRIES {
                tries += 1;
                thread::sleep(PAUSE);
                continue;
            }
            problems.push(mismatch);
        }
        return Pair { chain, key, problems };
    }
}

/// Reads the certificates of a file, at least one, in their order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>, Problem> {
    read_chain(path, &mut open)
}

/// Reads the private key of a file.
///
/// # Errors
/// All problems with the file.
pub(crate) fn key(path: &Path) -> Result<Key, Vec<Problem>> {
    let mut problems = Vec::new();
    match read_key(path, &mut open, &mut problems) {
        Some(key) if problems.is_empty() => Ok(key),
        _ => Err(problems),
    }
}

fn read_chain(
    path: &Path,
    open: &mut impl FnMut(&Path) -> io::Result<Content>,
) -> Result<Vec<Certificate>, Problem> {
    let content = open(path).map_err(|error| unreadable(path, &error))?;
    let certificates = pem::certificates(&content.bytes).map_err(|error| Problem::at(path, error))?;
    let read = |(index, der)| {
        let facts = Facts::read(&der).ok_or_else(|| {
            Problem::at(path, format_args!("certificate {} of the file is damaged", index + 1))
        })?;
        Ok(Certificate { der, facts })
    };
    certificates.into_iter().enumerate().map(read).collect()
}

fn read_key(
    path: &Path,
    open: &mut impl FnMut(&Path) -> io::Result<Content>,
    problems: &mut Vec<Problem>,
) -> Option<Key> {
    let content = open(path).map_err(|error| problems.push(unreadable(path, &error))).ok()?;
    let der = pem::private_key(&content.bytes);
    if der.as_ref().err().is_none_or(|error| error.leaves_a_key()) {
        problems.extend(content.mode.exposed("is a private key").map(|message| Problem::at(path, message)));
    }
    let der = der.map_err(|error| problems.push(Problem::at(path, error))).ok()?;
    match provider().key_provider.load_private_key(der.clone_key()) {
        Ok(signing) => Some(Key { der, signing }),
        Err(_) => {
            problems.push(Problem::at(
                path,
                "holds a private key of a kind that cannot be used; make it RSA of 2048 to 8192 bits, \
                 ECDSA on P-256, P-384 or P-521, or Ed25519",
            ));
            None
        }
    }
}

/// Returns the problem if the key does not belong to the first certificate.
fn mismatch(files: &CertificateFiles, chain: &[Certificate], key: &Key) -> Option<Problem> {
    match chain.iter().position(|certificate| key_matches(certificate, key)) {
        Some(0) => None,
        Some(later) => Some(Problem::at(
            &files.certificate,
            format_args!(
                "the key belongs to certificate {} of the file ({}), which must come first: \
                 the server's own certificate, then its issuer, and so on",
                later + 1,
                chain.get(later).map_or("", |certificate| &certificate.facts.label),
            ),
        )),
        None => Some(Problem::at(
            &files.key,
            format_args!(
                "does not match the certificate in {}: it is the private key of another certificate",
                files.certificate.display()
            ),
        )),
    }
}

fn key_matches(certificate: &Certificate, key: &Key) -> bool {
    let pair = CertifiedKey::new(vec![certificate.der.clone()], key.signing.clone());
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(Error::InconsistentKeys(_)) => false,
        // rustls cannot parse an X.509 version 1 certificate; the check of the chain reports it.
        Err(_) => true,
    }
}

fn open(path: &Path) -> io::Result<Content> {
    disk::read(path, disk::SMALL)
}

/// Returns the problem for a file that cannot be opened or read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Problem::missing(path, "there is no such file; check the path, or create it")
        }
        io::ErrorKind::PermissionDenied => Problem::at(
            path,
            format_args!(
                "cannot be read by the user that tidegate runs as (user id {}); \
                 `chgrp` it to a group of that user and `chmod 640` it",
                rustix::process::geteuid().as_raw()
            ),
        ),
        _ => Problem::at(path, format_args!("cannot be read: {error}; name a PEM file")),
    }
}

#[cfg(test)]
mod tests;
