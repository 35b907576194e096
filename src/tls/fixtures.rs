//! Settings of `[tls]` for tests, and the server they make.

use std::path::PathBuf;

use http::StatusCode;
use time::OffsetDateTime;

use super::files::TlsFiles;
use super::server::{self, ServerTls};
use crate::config::{Alpn, CertificateFiles, ClientCertificates, Tls, TlsVersion, UserFrom, Verify};
use crate::pki::{self, RenewedBy};
use crate::problem::Problems;

/// `[tls]` with its defaults and these certificates.
pub(crate) fn settings(certificates: Vec<CertificateFiles>) -> Tls {
    let client = ClientCertificates {
        verify: Verify::Off,
        ca: PathBuf::new(),
        crl: Vec::new(),
        names: Vec::new(),
        reject_status: StatusCode::FORBIDDEN,
        user_from: UserFrom::CommonName,
    };
    let alpn = vec![Alpn::H2, Alpn::Http11];
    Tls { certificates, min_version: TlsVersion::Tls12, alpn, ticket_keys: None, client }
}

/// Reads all files of `tls` and makes a configuration of them, as [`server::server`] does.
pub(crate) fn server(tls: &Tls, names: &[String], before: Option<&ServerTls>) -> Result<ServerTls, Problems> {
    let now = OffsetDateTime::now_utc();
    let files = TlsFiles::read(tls, now)?;
    let (certificates, mut warnings) = pki::load(&tls.certificates, RenewedBy::Operator, now, &|_| false)?;
    let mut made = server::server(tls, files, certificates, names, before)?;
    warnings.append(&mut made.warnings);
    made.warnings = warnings;
    Ok(made)
}
