//! `[acme]`: a certificate from an ACME directory (RFC 8555).

use std::path::PathBuf;

use super::complaint::Complaint;
use super::list::values;
use super::names::{certified_name, directory_url};
use super::print::{Printer, list, quoted};
use super::section::Section;
use super::tls::CertificateFiles;
use super::words::{Words, word};

/// An `[acme]` with names. The operator has agreed to the terms of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// URL of the directory, https.
    pub directory: String,
    /// The names of the certificate, at least one, none twice: DNS names in lower case and IP
    /// addresses, without brackets.
    pub names: Vec<String>,
    /// URLs at which the directory can reach the owner of the account.
    pub contact: Vec<String>,
    /// The folder for account, order and certificate.
    pub state: PathBuf,
    /// How the directory verifies control of the names.
    pub challenge: AcmeChallenge,
    /// PEM roots for the directory; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// The kind of certificate to ask for; `None` means the one the directory gives by default.
    pub profile: Option<String>,
    /// The account with the owner of the directory that ours is bound to.
    pub eab: Option<ExternalAccount>,
}

/// What binds an account to one outside of ACME (RFC 8555, section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The name of the key.
    pub kid: String,
    /// The file of the key, in base64url.
    pub key: PathBuf,
}

/// How a directory verifies that we control a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By a handshake on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a response on port 80 (RFC 8555, section 8.3).
    Http01,
}

const CHALLENGES: Words<AcmeChallenge> =
    &[("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01)];

impl Acme {
    /// `Some(None)` if no name is written. `has_plain` means that `server.plain` has an address.
    pub(super) fn read(section: &mut Section<'_, '_>, has_plain: bool) -> Option<Option<Self>> {
        let default = r#""https://acme-v02.api.letsencrypt.org/directory""#;
        let wanted = format!("the URL of a directory, such as {default}");
        let directory = section.text("directory", default, &wanted, directory_url);
        let wanted = r#"a DNS name without port or an IP address, such as "registry.example.com""#;
        let names = values(section.distinct("names", "[]", wanted, certified_name, |_| false));
        let wanted = r#"a URL, such as "mailto:ops@example.com""#;
        let contact = values(section.distinct("contact", "[]", wanted, contact, |_| false));
        let state = section.path("state", r#""acme""#, r#"the path of a folder, such as "acme""#);
        let challenge_location = section.location("challenge");
        let challenge = section.word("challenge", r#""tls-alpn-01""#, CHALLENGES);
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let remedy = "name a PEM file with the root of the directory, or leave it empty for a public one";
        let ca = section.optional_file("ca", wanted, remedy);
        let wanted = r#"the name of a profile that the directory offers, or "" for its usual one"#;
        let profile = section.text("profile", r#""""#, wanted, optional_word);
        let eab = external_account(section);
        let terms_location = section.location("accept_terms");
        let terms = section.flag("accept_terms", "false");

        let names = names?;
        if names.is_empty() {
            return Some(None);
        }
        if terms == Some(false) {
            let message = "acme.accept_terms is not true; read the terms of service of the directory and \
                           write accept_terms = true if you agree to them";
            section.report.forgotten(&terms_location, message);
        }
        if challenge == Some(AcmeChallenge::Http01) && !has_plain {
            let message = "acme.challenge is \"http-01\", which is answered on a port that server.plain \
                           opens; write plain = [\"0.0.0.0:80\"] in [server], or challenge = \
                           \"tls-alpn-01\" here";
            section.report.forgotten(&challenge_location, message);
        }
        Some(Some(Self {
            directory: directory?,
            names,
            contact: contact?,
            state: state?,
            challenge: challenge?,
            ca: ca?,
            profile: profile?,
            eab: eab?,
        }))
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { directory, names, contact, state, challenge, ca, profile, eab } = self;
        to.section("acme");
        to.reloaded("directory", quoted(directory));
        to.reloaded("names", list(names.iter().map(quoted)));
        to.reloaded("contact", list(contact.iter().map(quoted)));
        to.reloaded("state", to.path(state));
        to.reloaded("challenge", quoted(word(CHALLENGES, challenge)));
        to.reloaded("ca", to.optional_path(ca.as_deref()));
        to.reloaded("profile", quoted(profile.as_deref().unwrap_or_default()));
        to.reloaded("eab_kid", quoted(eab.as_ref().map(|eab| eab.kid.as_str()).unwrap_or_default()));
        to.reloaded("eab_key", to.optional_path(eab.as_ref().map(|eab| eab.key.as_path())));
        to.reloaded("accept_terms", true);
        to.watched.push(self.files().certificate);
    }

    /// The certificate and its key, which are kept in one file so that a pair is never half
    /// replaced.
    pub fn files(&self) -> CertificateFiles {
        let file = self.state.join("certificate.pem");
        CertificateFiles { certificate: file.clone(), key: file }
    }
}

/// `eab_kid` and `eab_key`, of which none makes sense alone.
fn external_account(section: &mut Section<'_, '_>) -> Option<Option<ExternalAccount>> {
    let (kid_location, key_location) = (section.location("eab_kid"), section.location("eab_key"));
    let wanted = r#"the key ID that the owner of the directory has given you, or "" for none"#;
    let kid = section.text("eab_kid", r#""""#, wanted, optional_word);
    let wanted = r#"the path of a file with the HMAC key, or "" for none"#;
    let remedy = "write the HMAC key that belongs to eab_kid into it, readable for the user of tidegate only";
    let key = section.optional_file("eab_key", wanted, remedy);
    match (kid?, key?) {
        (None, None) => Some(None),
        (Some(kid), Some(key)) => Some(Some(ExternalAccount { kid, key })),
        (Some(_), None) => {
            let message =
                "acme.eab_key is missing, the file with the HMAC key of acme.eab_kid; write both, or none";
            section.report.forgotten(&kid_location, message);
            None
        }
        (None, Some(_)) => {
            let message =
                "acme.eab_kid is missing, the key ID of the HMAC key in acme.eab_key; write both, or none";
            section.report.forgotten(&key_location, message);
            None
        }
    }
}

/// A word, or `None` for no text.
fn optional_word(text: &str) -> Result<Option<String>, Complaint> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has a space".into());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn contact(text: &str) -> Result<String, Complaint> {
    match text.split_once(':') {
        Some((scheme, rest))
            if !scheme.is_empty() && !rest.is_empty() && !text.contains(char::is_whitespace) =>
        {
            Ok(text.to_owned())
        }
        _ if text.contains('@') => Err("mailto: is missing before the address".into()),
        _ => Err("it is not a URL".into()),
    }
}
