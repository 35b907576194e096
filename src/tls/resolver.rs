//! The server name that a client asks for (SNI, RFC 6066) chooses the certificate.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use time::OffsetDateTime;

use crate::pki::{Facts, Identity, Staple};

/// Finds the certificate for a handshake: by exact name, else by a wildcard for the name's first label,
/// else the first one configured. Where several fit, the first whose key can sign what the client
/// verifies, ECDSA before RSA. Allocates nothing per handshake.
#[derive(Debug)]
pub(crate) struct Resolver {
    entries: Vec<Entry>,
    exact: Names,
    /// Keyed by what follows `*.`.
    wildcard: Names,
    /// For no name or an unknown one: the first certificate, then those that share its first name.
    default: Vec<usize>,
}

/// Names in order, each with the entries that bear it, the preferred first.
type Names = Vec<(Box<str>, Vec<usize>)>;

#[derive(Debug)]
struct Entry {
    certified: Arc<CertifiedKey>,
    /// The same with the staple, while that is valid.
    stapled: Option<(Staple, Arc<CertifiedKey>)>,
    schemes: Vec<SignatureScheme>,
}

impl Resolver {
    /// `identities` in the order of the settings; with none of them every handshake fails.
    pub(crate) fn new(identities: &[Identity]) -> Self {
        let (mut exact, mut wildcard) = (BTreeMap::new(), BTreeMap::new());
        for (index, identity) in identities.iter().enumerate() {
            for name in &identity.facts.dns_names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent),
                    None => (&mut exact, name.as_str()),
                };
                let bearers: &mut Vec<usize> = map.entry(Box::from(name)).or_default();
                if !bearers.contains(&index) {
                    bearers.push(index);
                }
            }
        }
        let default = default(identities);
        let entries: Vec<_> = identities.iter().map(Entry::new).collect();
        Self { exact: ranked(exact, &entries), wildcard: ranked(wildcard, &entries), default, entries }
    }

    /// When no certificate suits `schemes`, the first one: rustls then fails the handshake because client
    /// and key share no signature scheme. Without a certificate it would report that access is denied.
    fn pick(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Entry> {
        let bearers = name.and_then(|name| self.bearers(name)).unwrap_or(&self.default);
        let mut entries = bearers.iter().filter_map(|&index| self.entries.get(index));
        let first = entries.clone().next();
        entries.find(|entry| entry.suits(schemes)).or(first)
    }

    fn bearers(&self, name: &str) -> Option<&[usize]> {
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
    fn new(Identity { certified, staple, .. }: &Identity) -> Self {
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

/// Every scheme a key of ours may sign with. Asking the key in each handshake would allocate a signer.
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

fn default(identities: &[Identity]) -> Vec<usize> {
    let Some(Identity { facts: first, .. }) = identities.first() else { return Vec::new() };
    let shares = |facts: &Facts| {
        first.dns_names.first().is_some_and(|name| facts.dns_names.contains(name))
            || first.addresses.first().is_some_and(|address| facts.addresses.contains(address))
    };
    let others = identities.iter().enumerate().skip(1).filter(|(_, identity)| shares(&identity.facts));
    std::iter::once(0).chain(others.map(|(index, _)| index)).collect()
}

/// RSA last: its signatures cost the server far more. The sort is stable, the settings' order decides the rest.
fn ranked(names: BTreeMap<Box<str>, Vec<usize>>, entries: &[Entry]) -> Names {
    let is_rsa = |&index: &usize| {
        entries.get(index).is_some_and(|entry| entry.certified.key.algorithm() == SignatureAlgorithm::RSA)
    };
    let mut names: Names = names.into_iter().collect();
    for (_, bearers) in &mut names {
        bearers.sort_by_key(is_rsa);
    }
    names
}

/// `names` are lower case and in order; `name` is in any case.
fn find<'a>(names: &'a Names, name: &str) -> Option<&'a [usize]> {
    let position = names.binary_search_by(|(known, _)| compare(known, name)).ok()?;
    names.get(position).map(|(_, bearers)| bearers.as_slice())
}

fn compare(known: &str, name: &str) -> Ordering {
    known.bytes().cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
