//! The contents of a certificate (RFC 5280) that tidegate uses.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::asn1_rs::oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::x509::{X509Name, X509Version};

use super::der::Elements;
use super::signature::is_signed;
use crate::header::authority::within_brackets;

/// The fields that decide where a certificate can be used.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The subject's name as DER, compared byte by byte.
    pub(crate) subject: Vec<u8>,
    /// The issuer's name as DER.
    pub(crate) issuer: Vec<u8>,
    /// The serial number, big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
    /// Subject key identifier.
    pub(crate) key_id: Option<Vec<u8>>,
    /// Authority key identifier: the subject key identifier of the issuer.
    pub(crate) issuer_key_id: Option<Vec<u8>>,
    /// The public key with its algorithm: SubjectPublicKeyInfo as DER.
    pub(crate) public_key: Vec<u8>,
    /// The subject's common names, unchanged. `None` stands for a name that is not text.
    pub(crate) common_names: Vec<Option<String>>,
    /// The first DNS name or e-mail address of the subject alternative name, unchanged.
    pub(crate) alternative_name: Option<String>,
    /// The name for messages: the common name, else the first DNS name or IP address, else the
    /// serial number. Without control characters.
    pub(crate) label: String,
    /// DNS names of the subject alternative name, in lower case; may start with `*.`.
    pub(crate) dns_names: Vec<String>,
    /// IP addresses of the subject alternative name.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    /// Whether basic constraints mark it as a CA certificate.
    pub(crate) ca: bool,
    /// Whether key usage is absent or includes keyCertSign.
    pub(crate) may_sign: bool,
    /// Whether key usage is there and includes keyCertSign. Tools that make self-signed
    /// certificates of servers leave key usage out.
    pub(crate) marked_as_signer: bool,
    /// Whether the version is 3. Earlier versions cannot name a host in a way clients accept.
    pub(crate) version_3: bool,
    /// Whether extended key usage is absent or includes serverAuth or any.
    pub(crate) for_servers: bool,
    /// Whether it links its issuer's certificate (authority information access) or contains
    /// certificate transparency proofs. Public CAs do so, and they issue with intermediates.
    pub(crate) looks_public: bool,
    /// The hash of the signature, if clients no longer accept it.
    pub(crate) broken_hash: Option<&'static str>,
}

impl Facts {
    /// Returns `None` if the bytes are not a certificate.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        rest.is_empty().then(|| Self::of(&parsed))
    }

    /// Returns whether `now` is within the validity period.
    pub(crate) fn is_current(&self, now: OffsetDateTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Returns whether issuer and subject have the same name.
    pub(crate) fn self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Returns whether the certificate is valid for `name`, a host name in lower case or an IP
    /// address (RFC 9525). An IPv6 address may be in brackets.
    pub(crate) fn covers(&self, name: &str) -> bool {
        if let Ok(address) = within_brackets(name).unwrap_or(name).parse::<IpAddr>() {
            return self.addresses.iter().any(|own| own.to_canonical() == address.to_canonical());
        }
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.dns_names.iter().any(|own| match own.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => own == name,
        })
    }

    /// Returns the DNS names and IP addresses of the subject alternative name.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.dns_names.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string))
    }

    /// These names for people.
    pub(crate) fn listed_names(&self) -> String {
        let names: Vec<String> = self.names().collect();
        if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
    }

    fn of(parsed: &X509Certificate<'_>) -> Self {
        let mut facts = Self {
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            serial: without_zeros(parsed.raw_serial()),
            key_id: None,
            issuer_key_id: None,
            public_key: parsed.public_key().raw.to_vec(),
            common_names: common_names(parsed.subject()),
            alternative_name: None,
            label: String::new(),
            dns_names: Vec::new(),
            addresses: Vec::new(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            ca: parsed.is_ca(),
            may_sign: true,
            marked_as_signer: false,
            version_3: parsed.version() == X509Version::V3,
            for_servers: true,
            looks_public: false,
            broken_hash: broken_hash(parsed.signature_algorithm.algorithm.as_bytes()),
        };
        for extension in parsed.extensions() {
            facts.read_extension(extension.parsed_extension());
        }
        let label =
            facts.common_names.iter().flatten().map(|name| printable(name)).find(|name| !name.is_empty());
        facts.label = label
            .or_else(|| facts.names().next())
            .unwrap_or_else(|| format!("serial number {}", parsed.raw_serial_as_string()));
        facts
    }

    fn read_extension(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    if let GeneralName::DNSName(name) | GeneralName::RFC822Name(name) = name {
                        self.alternative_name.get_or_insert_with(|| (*name).to_owned());
                    }
                    match name {
                        GeneralName::DNSName(name) => {
                            self.dns_names.push(printable(&name.to_ascii_lowercase()))
                        }
                        GeneralName::IPAddress(bytes) => self.addresses.extend(address(bytes)),
                        _ => {}
                    }
                }
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::KeyUsage(usage) => {
                self.may_sign = usage.key_cert_sign();
                self.marked_as_signer = usage.key_cert_sign();
            }
            ParsedExtension::ExtendedKeyUsage(usage) => self.for_servers = usage.server_auth || usage.any,
            ParsedExtension::AuthorityInfoAccess(access) => {
                self.looks_public |= access.iter().any(|one| one.access_method.as_bytes() == AD_CA_ISSUERS);
            }
            ParsedExtension::SCT(_) => self.looks_public = true,
            _ => {}
        }
    }
}

/// Returns the public key of a certificate: SubjectPublicKeyInfo as DER. Reads nothing behind it,
/// so the cost does not depend on the extensions.
pub(crate) fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let mut signed = Elements::new(certificate).sequence().ok()?.sequence().ok()?;
    signed.tagged(0).ok()?;
    // Serial number, signature algorithm, issuer, validity, subject.
    for _ in 0..5 {
        signed.raw().ok()?;
    }
    signed.raw().ok()
}

/// Returns whether `issuer` issued `certificate`, judged by the issuer's name and the signature.
pub(crate) fn is_issued_by(certificate: &CertificateDer<'_>, issuer: &Facts) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    certificate.issuer().as_raw() == issuer.subject
        && is_signed(
            certificate.tbs_certificate.as_ref(),
            &certificate.signature_value.data,
            &issuer.public_key,
        )
}

/// id-ad-caIssuers, 1.3.6.1.5.5.7.48.2, RFC 5280 section 4.2.2.1.
///
/// Identifiers are compared as DER: to print a long one takes time that grows with its square.
const AD_CA_ISSUERS: &[u8] = &oid!(raw 1.3.6.1.5.5.7.48.2);

fn broken_hash(signature_algorithm: &[u8]) -> Option<&'static str> {
    const MD5_RSA: &[u8] = &oid!(raw 1.2.840.113549.1.1.4);
    const SHA1_RSA: &[u8] = &oid!(raw 1.2.840.113549.1.1.5);
    const SHA1_ECDSA: &[u8] = &oid!(raw 1.2.840.10045.4.1);
    match signature_algorithm {
        MD5_RSA => Some("MD5"),
        SHA1_RSA | SHA1_ECDSA => Some("SHA-1"),
        _ => None,
    }
}

fn common_names(name: &X509Name<'_>) -> Vec<Option<String>> {
    name.iter_common_name().map(|part| part.as_str().ok().map(str::to_owned)).collect()
}

/// Removes leading zeros. DER starts a positive number with a zero if its first bit would be set.
pub(super) fn without_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

/// Makes a name safe for messages and logs: a certificate may contain anything.
fn printable(name: &str) -> String {
    name.chars().take(253).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
