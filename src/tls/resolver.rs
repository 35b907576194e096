//! Chooses the certificate by the server name that a client asks for (SNI, RFC 6066).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use time::OffsetDateTime;

use crate::pki::{Facts, ServedCertificate, Staple};

/// Finds the certificate for a handshake: by exact name, else by a wildcard for the name's first
/// label, else the first one configured. If several fit, takes the first whose key can sign with a
/// scheme that the client verifies, ECDSA before RSA. Allocates nothing per handshake.
#[derive(Debug)]
pub(crate) struct Resolver {
    entries: Vec<Entry>,
    exact: Names,
    /// Keyed by what follows `*.`.
    wildcard: Names,
    /// The entries for no name or an unknown one: the first certificate, then those that share its
    /// first name.
    default: Vec<usize>,
}

/// Sorted names, each with the entries that cover it, the preferred first.
type Names = Vec<(Box<str>, Vec<usize>)>;

#[derive(Debug)]
struct Entry {
    certified: Arc<CertifiedKey>,
    /// The same with its staple, used while the staple is valid.
    stapled: Option<(Staple, Arc<CertifiedKey>)>,
    schemes: Vec<SignatureScheme>,
}

impl Resolver {
    /// Takes `certificates` in the order of the settings. Without any, every handshake fails.
    pub(crate) fn new(certificates: &[ServedCertificate]) -> Self {
        let (mut exact, mut wildcard) = (BTreeMap::new(), BTreeMap::new());
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.facts.dns_names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent),
                    None => (&mut exact, name.as_str()),
                };
                let covering: &mut Vec<usize> = map.entry(Box::from(name)).or_default();
                if !covering.contains(&index) {
                    covering.push(index);
                }
            }
        }
        let default = default(certificates);
        let entries: Vec<_> = certificates.iter().map(Entry::new).collect();
        Self { exact: ranked(exact, &entries), wildcard: ranked(wildcard, &entries), default, entries }
    }

    /// Returns the first certificate if none suits `schemes`. rustls then fails the handshake
    /// because client and key share no signature scheme. Without a certificate it would report that
    /// access is denied.
    fn pick(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Entry> {
        let covering = name.and_then(|name| self.covering(name)).unwrap_or(&self.default);
        let mut entries = covering.iter().filter_map(|&index| self.entries.get(index));
        let first = entries.clone().next();
        entries.find(|entry| entry.suits(schemes)).or(first)
    }

    fn covering(&self, name: &str) -> Option<&[usize]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        find(&self.exact, name)
            .or_else(|| name.split_once('.').and_then(|(_, parent)| find(&self.wildcard, parent)))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let entry = self.pick(hello.server_name(), hello.signature_schemes())?;
        Some(entry.at(OffsetDateTime::now_utc()).clone())
    }
}

impl Entry {
    fn new(ServedCertificate { certified, staple, .. }: &ServedCertificate) -> Self {
        let schemes = SCHEMES
            .iter()
            .copied()
            .filter(|&scheme| certified.key.choose_scheme(&[scheme]).is_some())
            .collect();
        let stapled = staple.clone().map(|staple| {
            let certified = CertifiedKey { ocsp: Some(staple.der.clone()), ..certified.clone() };
            (staple, Arc::new(certified))
        });
        Self { certified: Arc::new(certified.clone()), stapled, schemes }
    }

    fn at(&self, now: OffsetDateTime) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some((staple, certified)) if staple.is_valid(now) => certified,
            _ => &self.certified,
        }
    }

    fn suits(&self, offered: &[SignatureScheme]) -> bool {
        self.schemes.iter().any(|scheme| offered.contains(scheme))
    }
}

/// Every scheme that one of our keys may sign with. Asking the key in each handshake would allocate
/// a signer.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

fn default(certificates: &[ServedCertificate]) -> Vec<usize> {
    let Some(ServedCertificate { facts: first, .. }) = certificates.first() else { return Vec::new() };
    let shares = |facts: &Facts| {
        first.dns_names.first().is_some_and(|name| facts.dns_names.contains(name))
            || first.addresses.first().is_some_and(|address| facts.addresses.contains(address))
    };
    let others =
        certificates.iter().enumerate().skip(1).filter(|(_, certificate)| shares(&certificate.facts));
    std::iter::once(0).chain(others.map(|(index, _)| index)).collect()
}

/// Sorts RSA last, because its signatures cost the server far more. The sort is stable, so
/// certificates of one kind stay in the order of the settings.
fn ranked(names: BTreeMap<Box<str>, Vec<usize>>, entries: &[Entry]) -> Names {
    let is_rsa = |&index: &usize| {
        entries.get(index).is_some_and(|entry| entry.certified.key.algorithm() == SignatureAlgorithm::RSA)
    };
    let mut names: Names = names.into_iter().collect();
    for (_, covering) in &mut names {
        covering.sort_by_key(is_rsa);
    }
    names
}

/// `names` are sorted and in lower case; `name` may be in any case.
fn find<'a>(names: &'a Names, name: &str) -> Option<&'a [usize]> {
    let position = names.binary_search_by(|(known, _)| compare(known, name)).ok()?;
    names.get(position).map(|(_, covering)| covering.as_slice())
}

fn compare(known: &str, name: &str) -> Ordering {
    known.bytes().cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
