//! `[tls]` and `[tls.client]`: from what is written to what is meant.

use std::path::{Path, PathBuf};

use super::file::{HOST_NAME, optional_file, path, several, status, values};
use super::keys::CERTIFICATE_ENTRY;
use super::names::served_name;
use super::report::{NamedFile, Place};
use super::section::{Section, Separator};
use super::settings::{CertificateFiles, ClientCertificates, Tls, Verify};
use super::words;

const CERTIFICATE_REMEDY: &str = "make one with `tidegate cert server`, or name the one you have";

/// `[tls]`, with what `[tls.client]` means. `by_acme` tells that `[acme]`, which stands at `acme`, has the certificate.
pub(super) fn tls(
    section: &mut Section<'_, '_>,
    base: &Path,
    by_acme: bool,
    acme: Option<Place>,
    client: Option<ClientCertificates>,
) -> Option<Tls> {
    let certificates = certificates(section, base, by_acme, acme);
    let min_version = section.word("min_version", words::TLS_VERSIONS);
    let parse = |text: &str| words::choose(words::ALPN, text).ok_or_else(String::new);
    let alpn = values(several(section, "alpn", &words::choices(words::ALPN), parse, |_| false));
    let wanted = r#"the path of a file, or "" for keys that no replica shares"#;
    let remedy =
        "make it with `(umask 027; openssl rand -base64 48 > FILE)`, the same file for every replica";
    let ticket_keys = optional_file(section, "ticket_keys", "tls.ticket_keys", wanted, remedy, base);
    Some(Tls {
        certificates: certificates?,
        min_version: min_version?,
        alpn: alpn?,
        ticket_keys: ticket_keys?,
        client: client?,
    })
}

/// `[tls.client]`.
pub(super) fn client(section: &mut Section<'_, '_>, base: &Path) -> Option<ClientCertificates> {
    let certificates_matter = section.is_written("ca") || section.is_written("crl");
    if certificates_matter && !section.is_written("verify") {
        let header = section.header.clone();
        let message = "tls.client.verify is missing, and without it no certificate is asked for; write verify = \"required\", \
                       \"optional\" or \"off\"";
        section.report.forgotten(&header, message);
    }
    let verify = section.word("verify", words::VERIFY);
    let is_on = verify.is_some_and(|verify| verify != Verify::Off);
    // Behind a syntax error another path may be written.
    let certain = section.is_written("ca") || !section.report.is_torn();
    let place = section.place("ca");
    let ca = section.text("ca", "the path of a PEM file", |text| path(text, base));
    if let (true, true, Some(path)) = (is_on, certain, &ca) {
        let remedy = "make one with `tidegate cert ca`, or name the one that issues your certificates";
        let file = NamedFile { key: "tls.client.ca", path: path.clone(), place, remedy: remedy.to_owned() };
        section.report.files.push(file);
    }
    let wanted = "the path of a PEM or DER file";
    let crl = section.list("crl", Separator::Comma, wanted, |text| path(text, base));
    for (place, path) in crl.iter().flatten().filter(|_| is_on) {
        let (place, path) = (place.clone(), path.clone());
        let remedy = "make one with `tidegate cert ca --crl`, or leave it out".to_owned();
        section.report.files.push(NamedFile { key: "tls.client.crl", path, place, remedy });
    }
    let names = values(section.list("names", Separator::Comma, HOST_NAME, served_name));
    let reject_status = section.number("reject_status", 403..=404);
    let user_from = section.word("user_from", words::USER_FROM);
    Some(ClientCertificates {
        verify: verify?,
        ca: ca?,
        crl: values(crl)?,
        names: names?,
        reject_status: status(reject_status?)?,
        user_from: user_from?,
    })
}

/// One pair of keys, or the list of several; neither where `[acme]` has the certificate.
fn certificates(
    section: &mut Section<'_, '_>,
    base: &Path,
    by_acme: bool,
    acme: Option<Place>,
) -> Option<Vec<CertificateFiles>> {
    if by_acme {
        for key in ["certificate", "key", "certificates"] {
            if let Some(place) = section.drop(key) {
                let message =
                    format!("tls.{key} names a certificate, and acme.names asks for one; keep one of them");
                section.report.wrong(&place, message);
            }
        }
        return Some(Vec::new());
    }
    let list_place = section.place("certificates");
    let wanted = r#"a list such as [{ certificate = "a.crt", key = "a.key" }]"#;
    let list = section.entries("certificates", CERTIFICATE_ENTRY, wanted, |entry| pair(entry, base));
    let pair_written = section.is_written("certificate") || section.is_written("key");
    match list {
        Some(list) if list.is_empty() && pair_written => pair(section, base).map(|pair| vec![pair]),
        Some(list) if list.is_empty() && acme.is_some() => {
            let place = acme.unwrap_or_else(|| section.header.clone());
            let message = "acme.names is missing; write names = [\"registry.example.com\"], the names for which a \
                           certificate is wanted";
            section.report.forgotten(&place, message);
            None
        }
        Some(list) if list.is_empty() => {
            let message = "tls.certificate and tls.key are missing; write certificate = \"certs/domain.crt\" \
                           and key = \"certs/domain.key\" (`tidegate cert server` makes them), or tls.certificates \
                           for several, or [acme] with the names for which Let's Encrypt is to give one";
            let header = section.header.clone();
            section.report.forgotten(&header, message);
            None
        }
        list if pair_written => {
            pair(section, base);
            let message =
                "tls.certificates stands beside tls.certificate and tls.key; keep the list or the pair";
            section.report.wrong(&list_place, message);
            list
        }
        list => list,
    }
}

fn pair(section: &mut Section<'_, '_>, base: &Path) -> Option<CertificateFiles> {
    for (here, other) in [("certificate", "key"), ("key", "certificate")] {
        if !section.is_written(other) {
            let place = section.place(here);
            let example = if other == "key" { "certs/domain.key" } else { "certs/domain.crt" };
            let message = format!("{}.{other} is missing; write {other} = {example:?}", section.name);
            section.report.forgotten(&place, message);
        }
    }
    let certificate = file(section, "certificate", "tls.certificate", base, CERTIFICATE_REMEDY.to_owned());
    let key = file(section, "key", "tls.key", base, CERTIFICATE_REMEDY.to_owned());
    Some(CertificateFiles { certificate: certificate?, key: key? })
}

/// A file that has to be there.
fn file(
    section: &mut Section<'_, '_>,
    key: &str,
    full_key: &'static str,
    base: &Path,
    remedy: String,
) -> Option<PathBuf> {
    let place = section.place(key);
    let path = section.text(key, "the path of a PEM file", |text| path(text, base))?;
    section.report.files.push(NamedFile { key: full_key, path: path.clone(), place, remedy });
    Some(path)
}
