//! `tidegate cert revoke`: adds certificates to the revocation list of their CA.

use std::path::{Path, PathBuf};

use clap::Args;

use super::authority::Authority;
use super::ca::list_setting;
use super::error::CertError;
use super::list::{self, RevocationList};
use super::serial::Serial;
use crate::pki::is_issued_by;
use crate::pki::pair;
use crate::problem::{Problem, Problems};

/// The arguments of `tidegate cert revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Directory with ca.crt and ca.key, and with ca.crl, which is created for the first revocation
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// A certificate of this CA, such as build1/client.cert; only the first one in the file is
    /// revoked
    #[arg(value_name = "CERTIFICATE", required_unless_present = "serials")]
    pub certificates: Vec<PathBuf>,
    /// The serial number, in hexadecimal, of a certificate whose file is lost; can be repeated
    ///
    /// `tidegate cert client` prints it, and so does `openssl x509 -serial`.
    #[arg(long = "serial", value_name = "HEX")]
    pub serials: Vec<Serial>,
}

const OWN: &str = "is the certificate of the CA itself, which cannot revoke itself; name another one";

/// A certificate to revoke, and its name in the report.
struct Revoked {
    serial: Serial,
    label: String,
}

pub(super) fn run(command: &Revoke) -> Result<String, CertError> {
    let authority = Authority::read(&command.ca)?;
    let certificates = certificates(command, &authority)?;
    let mut list = RevocationList::open(&authority, &command.ca, false)?;
    let before = list.len();
    let mut report = String::new();
    for Revoked { serial, label } in &certificates {
        match list.revoked(serial) {
            Some(since) => report += &format!("{label} was revoked already on {}\n", since.date()),
            None => {
                list.revoke(serial);
                report += &format!("revoked {label}\n");
            }
        }
    }
    let path = list.path.display().to_string();
    if list.len() == before {
        return Ok(report + &list::record(&command.ca));
    }
    list.write()?;
    let record = list::record(&command.ca);
    Ok(format!("{report}wrote {path}  the list of revoked certificates\n{record}\n{}", list_setting(&path)))
}

/// The certificates that the command names, or everything that is wrong with them.
fn certificates(command: &Revoke, authority: &Authority) -> Result<Vec<Revoked>, CertError> {
    let (mut certificates, mut problems) = (Vec::new(), Vec::new());
    for path in &command.certificates {
        match read(path, authority) {
            Ok(certificate) => certificates.push(certificate),
            Err(problem) => problems.push(problem),
        }
    }
    for serial in &command.serials {
        if authority.is_own(serial) {
            problems.push(Problem::new(format!("--serial {serial}"), OWN));
        }
        let label = format!("the certificate with serial number {serial}");
        certificates.push(Revoked { serial: serial.clone(), label });
    }
    if problems.is_empty() { Ok(certificates) } else { Err(CertError::BadFiles(Problems(problems))) }
}

fn read(path: &Path, authority: &Authority) -> Result<Revoked, Problem> {
    let Some(certificate) = pair::certificates(path)?.into_iter().next() else {
        return Err(Problem::at(path, "holds no certificate; name a file such as client.cert"));
    };
    if !is_issued_by(&certificate.der, &authority.certificate.facts) {
        let ca = &authority.certificate.facts.label;
        let message = format!("is not signed by this CA ({ca}); only the CA that signed it can revoke it");
        return Err(Problem::at(path, message));
    }
    let serial = Serial::of(&certificate.facts);
    if authority.is_own(&serial) {
        return Err(Problem::at(path, OWN));
    }
    let label = format!("{} ({}, serial number {serial})", path.display(), certificate.facts.label);
    Ok(Revoked { serial, label })
}
