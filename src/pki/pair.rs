//! A certificate chain and its private key, read as one.

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

/// What could be read of the two files. Without problems both halves are there and belong together.
#[derive(Debug)]
pub(crate) struct Pair {
    /// At least one certificate, when the file could be read.
    pub(crate) chain: Option<Vec<Certificate>>,
    /// The private key, when the file could be read.
    pub(crate) key: Option<Key>,
    /// Everything wrong with the two files, but not with what the certificates say: that is `check`'s.
    pub(crate) problems: Vec<Problem>,
}

/// One certificate and what it says.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) facts: Facts,
}

/// A private key in the two forms that its users need.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) der: PrivateKeyDer<'static>,
    pub(crate) signing: Arc<dyn SigningKey>,
}

/// Reads both files. Whoever renews a certificate replaces two files one after the other, so a key that
/// does not fit is read again, with its certificate, a few times. Blocks for [`TRIES`] × [`PAUSE`] at most.
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

/// The certificates of a file in their order, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>, Problem> {
    read_chain(path, &mut open)
}

/// The private key of a file, when it can be used; else all that is wrong with it.
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
    let certificates = pem::certificates(&content.bytes).map_err(|fault| Problem::at(path, fault))?;
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
    if der.as_ref().err().is_none_or(|fault| fault.leaves_a_key()) {
        problems.extend(content.mode.exposed("is a private key").map(|message| Problem::at(path, message)));
    }
    let der = der.map_err(|fault| problems.push(Problem::at(path, fault))).ok()?;
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

/// The sentence for a key that is not the first certificate's.
fn mismatch(files: &CertificateFiles, chain: &[Certificate], key: &Key) -> Option<Problem> {
    let position = chain.iter().position(|certificate| belongs(certificate, key));
    match position {
        Some(0) => None,
        Some(later) => Some(Problem::at(
            &files.certificate,
            format_args!(
                "the key belongs to certificate {} of the file ({}), which must be the first: \
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

fn belongs(certificate: &Certificate, key: &Key) -> bool {
    let pair = CertifiedKey::new(vec![certificate.der.clone()], key.signing.clone());
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
        Err(Error::InconsistentKeys(_)) => false,
        // What rustls cannot parse (an X.509 version 1 certificate) is for `check` to name.
        Err(_) => true,
    }
}

fn open(path: &Path) -> io::Result<Content> {
    disk::read(path, disk::SMALL)
}

/// The sentence for a file that could not be opened or read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Problem::missing(path, "there is no such file; check the path, or create it")
        }
        io::ErrorKind::PermissionDenied => Problem::at(
            path,
            format_args!(
                "may not be read by the user that tidegate runs as (user id {}); \
                 `chgrp` it to a group of that user and `chmod 640` it",
                rustix::process::geteuid().as_raw()
            ),
        ),
        _ => Problem::at(path, format_args!("cannot be read: {error}; name a PEM file")),
    }
}

#[cfg(test)]
mod tests;
