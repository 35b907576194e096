//! `[tls.client]`: client certificates.

use std::path::PathBuf;

use http::StatusCode;

use super::list::{Separator, values};
use super::names::{HOST_NAME, served_name};
use super::paths::path;
use super::print::{Printer, list, quoted};
use super::section::Section;
use super::values::status;
use super::words::{Words, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether clients are asked for a certificate, and whether they need one.
    pub verify: Verify,
    /// The file of the accepted CAs. Checked to exist unless `verify` is off.
    pub ca: PathBuf,
    /// The revocation lists of these CAs.
    pub crl: Vec<PathBuf>,
    /// The host names whose clients are asked, written as in `server.names`. Empty means all.
    pub names: Vec<String>,
    /// The status for a client without a valid certificate: 403 or 404.
    pub reject_status: StatusCode,
    /// The part of a certificate that names the user.
    pub user_from: UserFrom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Clients are not asked for certificates.
    Off,
    /// A client without a certificate is treated as with `Off`.
    Optional,
    /// A client without a certificate is refused.
    Required,
}

/// The part of a client's certificate that names the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserFrom {
    /// `cn`: the common name of its subject.
    CommonName,
    /// `san`: the first DNS name or e-mail address of its subjectAltName.
    AlternativeName,
}

const VERIFY: Words<Verify> =
    &[("off", Verify::Off), ("optional", Verify::Optional), ("required", Verify::Required)];
const USER_FROM: Words<UserFrom> = &[("cn", UserFrom::CommonName), ("san", UserFrom::AlternativeName)];

impl ClientCertificates {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let certificates_matter = section.is_written("ca") || section.is_written("crl");
        if certificates_matter && !section.is_written("verify") {
            let header = section.header.clone();
            let message = "tls.client.verify is missing, and without it clients are not asked for \
                           certificates; write verify = \"required\", \"optional\" or \"off\"";
            section.report.forgotten(&header, message);
        }
        let verify = section.word("verify", r#""off""#, VERIFY);
        let is_on = verify.is_some_and(|verify| verify != Verify::Off);
        // The text lost to a syntax error may have named another path.
        let is_certain = section.is_written("ca") || !section.report.is_truncated();
        let location = section.location("ca");
        let ca = section.path("ca", r#""certs/clients.crt""#, "the path of a PEM file");
        if let (true, true, Some(path)) = (is_on, is_certain, &ca) {
            let remedy = "make one with `tidegate cert ca`, or name the one that issues your certificates";
            section.needs_file("ca", path, &location, remedy);
        }
        let base = section.report.base().to_owned();
        let wanted = "the path of a PEM or DER file";
        let crl = section.list("crl", "[]", Separator::Comma, wanted, |text| path(text, &base));
        for (location, path) in crl.iter().flatten().filter(|_| is_on) {
            let remedy = "restore it if the CA had one, or make one in the folder of the CA with `tidegate cert ca --crl --out FOLDER`";
            section.needs_file("crl", path, location, remedy);
        }
        let names = values(section.list("names", "[]", Separator::Comma, HOST_NAME, served_name));
        let reject_status = section.number("reject_status", "403", 403..=404);
        let user_from = section.word("user_from", r#""cn""#, USER_FROM);
        Some(Self {
            verify: verify?,
            ca: ca?,
            crl: values(crl)?,
            names: names?,
            reject_status: status(reject_status?)?,
            user_from: user_from?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { verify, ca, crl, names, reject_status, user_from } = self;
        to.section("tls.client");
        to.reloaded("verify", quoted(word(VERIFY, verify)));
        to.reloaded("ca", to.path(ca));
        if *verify != Verify::Off {
            to.watched.push(ca.clone());
        }
        to.reloaded("crl", list(crl.iter().map(|crl| to.path(crl))));
        to.reloaded("names", list(names.iter().map(quoted)));
        to.reloaded("reject_status", reject_status.as_u16());
        to.reloaded("user_from", quoted(word(USER_FROM, user_from)));
    }
}
