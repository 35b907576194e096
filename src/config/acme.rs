//! `[acme]`: from what is written to what is meant.

use std::path::Path;

use super::file::{distinct, optional_file, path, values};
use super::names::{certified_name, directory_url};
use super::section::Section;
use super::settings::{Acme, AcmeChallenge};
use super::words;

/// Nothing is meant where no name is written. `has_plain` tells whether `server.plain` has an address.
pub(super) fn acme(section: &mut Section<'_, '_>, base: &Path, has_plain: bool) -> Option<Option<Acme>> {
    let wanted = r#"the URL of a directory, such as "https://acme-v02.api.letsencrypt.org/directory""#;
    let directory = section.text("directory", wanted, directory_url);
    let wanted = r#"a DNS name without port, such as "registry.example.com""#;
    let names = values(distinct(section, "names", wanted, certified_name, |_| false));
    let wanted = r#"a URL, such as "mailto:ops@example.com""#;
    let contact = values(distinct(section, "contact", wanted, contact, |_| false));
    let state = section.text("state", r#"the path of a folder, such as "acme""#, |text| path(text, base));
    let challenge_place = section.place("challenge");
    let challenge = section.word("challenge", words::ACME_CHALLENGES);
    let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
    let remedy = "name a PEM file with the root of the directory, or leave it empty for a public one";
    let ca = optional_file(section, "ca", "acme.ca", wanted, remedy, base);
    let terms_place = section.place("accept_terms");
    let terms = section.flag("accept_terms");

    let names = names?;
    if names.is_empty() {
        return Some(None);
    }
    if terms == Some(false) {
        let message = "acme.accept_terms is not true; read the terms of service of the directory and write \
                       accept_terms = true if you agree to them";
        section.report.forgotten(&terms_place, message);
    }
    if challenge == Some(AcmeChallenge::Http01) && !has_plain {
        let message = "acme.challenge is \"http-01\", which is answered on a port that server.plain opens; write \
                       plain = [\"0.0.0.0:80\"] in [server], or challenge = \"tls-alpn-01\" here";
        section.report.forgotten(&challenge_place, message);
    }
    Some(Some(Acme {
        directory: directory?,
        names,
        contact: contact?,
        state: state?,
        challenge: challenge?,
        ca: ca?,
    }))
}

fn contact(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((scheme, rest))
            if !scheme.is_empty() && !rest.is_empty() && !text.contains(char::is_whitespace) =>
        {
            Ok(text.to_owned())
        }
        _ if text.contains('@') => Err("mailto: is missing before the address".to_owned()),
        _ => Err("it is no URL".to_owned()),
    }
}
