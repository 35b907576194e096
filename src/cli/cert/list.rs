//! The revocation list of a CA, `ca.crl` beside its certificate (RFC 5280 section 5).
//!
//! Once there is a list, the CA's key file says so. A new list in place of a lost one would
//! otherwise make revoked certificates valid again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::authority::{Authority, KEY, REVOCATION_LIST};
use super::error::CertError;
use super::files::failed;
use super::serial::Serial;
use crate::cli::record;
use crate::disk::{Remark, Rewrite, shell_word};
use crate::pki::pem;
use crate::pki::{Crl, Entry};
use crate::problem::Problem;

/// The number of a CA's first list.
const FIRST: [u8; 1] = [1];

/// What the key file of a CA says that has, or had, a list.
const RECORD: Remark = Remark {
    line: "# tidegate: this CA has a list of revoked certificates, ca.crl",
    start: "# tidegate: this CA has a list of revoked certificates",
};

type Entries = BTreeMap<Vec<u8>, Entry>;

/// The list of a CA. It is locked: no other command changes it until this value is dropped.
pub(super) struct RevocationList<'a> {
    authority: &'a Authority,
    pub(super) path: PathBuf,
    file: Rewrite,
    next_number: Vec<u8>,
    entries: Entries,
}

impl<'a> RevocationList<'a> {
    /// Reads the list in `directory`. A CA that never had a list has an empty one. `begins` accepts
    /// that a list is lost.
    ///
    /// # Errors
    /// The list is lost, or not that of this CA, or cannot be locked.
    pub(super) fn open(authority: &'a Authority, directory: &Path, begins: bool) -> Result<Self, CertError> {
        let path = directory.join(REVOCATION_LIST);
        let file = Rewrite::begin(&path, Some(0o644)).map_err(|error| failed(&path, error))?;
        let key = directory.join(KEY);
        if file.is_new() && !begins && RECORD.is_in(&key).map_err(|error| failed(&key, error))? {
            return Err(CertError::BadFiles(lost(&path, &key, directory).into()));
        }
        let (next_number, entries) = if file.is_new() {
            (FIRST.to_vec(), Entries::new())
        } else {
            let crl = read(file.text(), authority).map_err(|fault| {
                let message = format!(
                    "{fault}; nothing was written; restore it, or move it away and begin a new list with {}",
                    begin_anew(directory)
                );
                CertError::BadFiles(Problem::at(&path, message).into())
            })?;
            (crl.next_number, crl.entries)
        };
        Ok(Self { authority, path, file, next_number, entries })
    }

    /// How many certificates are revoked.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the certificate was revoked; `None` if it is not in the list.
    pub(super) fn revoked(&self, serial: &Serial) -> Option<OffsetDateTime> {
        self.entries.get(serial.as_bytes()).map(|entry| entry.revoked)
    }

    /// Adds a certificate, revoked now.
    pub(super) fn revoke(&mut self, serial: &Serial) {
        let entry = Entry { revoked: OffsetDateTime::now_utc(), reason: None, invalid_since: None };
        self.entries.insert(serial.as_bytes().to_vec(), entry);
    }

    /// Signs the list with the next number, and replaces the file.
    pub(super) fn write(self) -> Result<(), CertError> {
        let text = sign(self.authority, &self.next_number, &self.entries)?;
        self.file.commit(text.as_bytes()).map_err(|error| failed(&self.path, error))
    }
}

/// Makes the CA's key file say that there is a list. Returns a note for the user if that fails;
/// else nothing.
pub(super) fn record(directory: &Path) -> String {
    record::record(&RECORD, &directory.join(KEY))
}

fn lost(path: &Path, key: &Path, directory: &Path) -> Problem {
    let message = format!(
        "the list of revoked certificates does not exist, but {key} says that the CA has one; a new list would make \
         revoked certificates valid again; restore it, for example from the server, or begin a new list with \
         {command} and revoke them again",
        key = key.display(),
        command = begin_anew(directory)
    );
    Problem::missing(path, message)
}

fn begin_anew(directory: &Path) -> String {
    format!("`tidegate cert ca --crl --new-list --out {}`", shell_word(directory))
}

/// The first list of a new CA, as PEM.
pub(super) fn first(authority: &Authority) -> Result<String, CertError> {
    sign(authority, &FIRST, &Entries::new())
}

/// The list in the file. There must be exactly one, signed by this CA.
fn read(text: &[u8], authority: &Authority) -> Result<Crl, String> {
    let lists = pem::revocation_lists(text).map_err(|fault| fault.to_string())?;
    let [list] = lists.as_slice() else {
        return Err(format!("holds {} revocation lists; keep only the one of this CA", lists.len()));
    };
    let crl = Crl::read(list).map_err(|fault| fault.to_string())?;
    let facts = &authority.certificate.facts;
    if crl.issuer != facts.subject {
        return Err("is the revocation list of another CA".to_owned());
    }
    if !crl.is_signed_by(&facts.public_key) {
        let fault =
            "is not signed with this CA's key: it was changed, or belongs to another CA with the same name";
        return Err(fault.to_owned());
    }
    Ok(crl)
}

fn sign(authority: &Authority, number: &[u8], entries: &Entries) -> Result<String, CertError> {
    let facts = &authority.certificate.facts;
    let list = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc(),
        // A new list is written only when a certificate is revoked, so this one must not expire.
        next_update: facts.not_after,
        crl_number: SerialNumber::from_slice(number),
        issuing_distribution_point: None,
        revoked_certs: entries.iter().map(entry).collect(),
        key_identifier_method: facts.key_id.clone().map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
    };
    let text = match list.signed_by(&authority.issuer) {
        Err(rcgen::Error::IssuerNotCrlSigner) => Err(unable("its key usage lacks cRLSign")),
        signed => Ok(signed?.pem()?),
    }?;
    // rcgen writes the name of the CA anew; an unusual name can come out different.
    read(text.as_bytes(), authority).map_err(unable)?;
    Ok(text)
}

fn unable(reason: impl std::fmt::Display) -> CertError {
    CertError::BadAuthority(format!(
        "the CA in ca.crt cannot sign a revocation list: {reason}; make a CA with `tidegate cert ca`"
    ))
}

fn entry((serial, entry): (&Vec<u8>, &Entry)) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: entry.revoked,
        reason_code: entry.reason.and_then(reason),
        invalidity_date: entry.invalid_since,
    }
}

/// RFC 5280 section 5.3.1.
fn reason(code: u8) -> Option<RevocationReason> {
    Some(match code {
        1 => RevocationReason::KeyCompromise,
        2 => RevocationReason::CaCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        8 => RevocationReason::RemoveFromCrl,
        9 => RevocationReason::PrivilegeWithdrawn,
        10 => RevocationReason::AaCompromise,
        _ => return None,
    })
}
