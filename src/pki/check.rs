//! Whether clients will accept a chain: its dates, its order, its purpose, its names.

use std::path::Path;

use time::{Duration, OffsetDateTime};

use super::dates::{date, span};
use super::facts::{Facts, is_issued_by};
use super::pair::Certificate;
use crate::problem::Problem;

/// What is wrong with a chain, and what soon will be.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// No client accepts it.
    pub(crate) errors: Vec<Problem>,
    /// Some client will refuse it, or all will before long.
    pub(crate) warnings: Vec<Problem>,
}

/// Who renews a certificate, and so what its dates are to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewedBy {
    /// The operator: it has to be valid, and he is warned ahead.
    Operator,
    /// tidegate itself, by ACME: it serves with whatever dates while there is no other. This machine's clock may be wrong.
    Acme,
}

/// Judges the chain of one file at the moment `now`. `is_root` tells whether the system trusts a CA of this name.
pub(crate) fn chain(
    path: &Path,
    chain: &[Certificate],
    renewed_by: RenewedBy,
    now: OffsetDateTime,
    is_root: &dyn Fn(&[u8]) -> bool,
) -> Findings {
    let mut findings = Findings::default();
    let Some((leaf, issuers)) = chain.split_first() else { return findings };
    if let Some(message) = dates(&leaf.facts, now) {
        let found = match renewed_by {
            RenewedBy::Operator => &mut findings.errors,
            RenewedBy::Acme => &mut findings.warnings,
        };
        found.push(Problem::at(path, message));
    }
    let mut error = |message: String| findings.errors.push(Problem::at(path, message));
    if let Some(message) = unfit(&leaf.facts) {
        error(message);
    }
    if let Some(message) = disorder(chain) {
        error(message);
    }
    let mut warn = |message: String| findings.warnings.push(Problem::at(path, message));
    if let (RenewedBy::Operator, Some(message)) = (renewed_by, expires_soon(&leaf.facts, now)) {
        warn(message);
    }
    for message in doubts(&leaf.facts) {
        warn(message);
    }
    if let Some(message) = incomplete(&leaf.facts, issuers, is_root).or_else(|| namesake(chain)) {
        warn(message);
    }
    for issuer in issuers.iter().filter(|issuer| issuer.facts.not_after < now) {
        warn(format!(
            "the issuer certificate {} in the file expired on {}; get the current one from your CA",
            issuer.facts.label,
            date(issuer.facts.not_after)
        ));
    }
    findings
}

/// A warning for each host name that the settings promise and no certificate bears.
pub(crate) fn names<'a>(
    names: &[String],
    certificates: impl Iterator<Item = &'a Facts> + Clone,
) -> Vec<Problem> {
    let borne = || certificates.clone().flat_map(Facts::names).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .filter(|name| !certificates.clone().any(|facts| facts.covers(name)))
        .map(|name| {
            let message = format!(
                "no certificate covers {name} (covered: {}); clients that use this name will refuse the connection",
                borne()
            );
            Problem::new("server.names", message)
        })
        .collect()
}

/// Renewal of a 90-day certificate is due 30 days ahead; at 21 it has failed for a while.
const SOON: Duration = Duration::days(21);

fn dates(leaf: &Facts, now: OffsetDateTime) -> Option<String> {
    if now < leaf.not_before {
        return Some(format!(
            "the certificate is not valid before {}, {} from now; check this machine's clock, or wait",
            date(leaf.not_before),
            span(leaf.not_before - now)
        ));
    }
    (now > leaf.not_after).then(|| {
        format!(
            "the certificate expired on {}, {} ago; renew it",
            date(leaf.not_after),
            span(now - leaf.not_after)
        )
    })
}

fn expires_soon(leaf: &Facts, now: OffsetDateTime) -> Option<String> {
    let left = leaf.not_after - now;
    (!left.is_negative() && left < SOON)
        .then(|| format!("the certificate expires on {}, in {}; renew it", date(leaf.not_after), span(left)))
}

fn unfit(leaf: &Facts) -> Option<String> {
    if !leaf.version_3 {
        return Some(
            "the certificate is of the old X.509 version 1, which cannot name a host; have it made with \
             extensions and a subjectAltName (`openssl x509 -req -extfile …`)"
                .to_owned(),
        );
    }
    // `openssl req -x509` marks every certificate as a CA's, also a server's, and docker accepts that: the
    // documentation of the registry makes its example so.
    let stands_for_a_server = leaf.self_issued() && leaf.names().next().is_some();
    (leaf.ca && !stands_for_a_server).then(|| {
        format!(
            "the first certificate ({}) is a CA's, not a server's; put first the one that this CA issued for the \
             server, or make one with `tidegate cert server`",
            leaf.label
        )
    })
}

/// Each certificate after the first must be the issuer of one before it. Stricter than RFC 8446 section 4.4.2,
/// which lets a client sort; not all do. A second certificate of one issuer (a cross-signed one) may stand.
fn disorder(chain: &[Certificate]) -> Option<String> {
    (1..chain.len()).find_map(|index| {
        let (before, rest) = chain.split_at(index);
        let stray = rest.first()?;
        let issued = before.iter().any(|one| one.facts.issuer == stray.facts.subject);
        (!issued).then(|| {
            format!(
                "the chain is not in order: certificate {} ({}) did not issue one of those before it; put the \
                 server's own first, then its issuer, then the issuer's issuer, and nothing else",
                index + 1,
                stray.facts.label
            )
        })
    })
}

/// That an intermediate is missing cannot be known, only that one seems to have issued the certificate; a
/// private CA issues without.
fn incomplete(leaf: &Facts, issuers: &[Certificate], is_root: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let seems = issuers.is_empty() && !leaf.self_issued() && leaf.of_public_kind && !is_root(&leaf.issuer);
    seems.then(|| {
        "the file holds only the server's own certificate, which an intermediate CA seems to have issued; \
         append the CA's chain (often called fullchain.pem), or docker and others will refuse the connection"
            .to_owned()
    })
}

/// A CA that has renewed its key keeps its name, and then the old certificate of the CA looks right beside what
/// the new key signed. A signature with a broken hash cannot be judged, and is told of elsewhere.
fn namesake(chain: &[Certificate]) -> Option<String> {
    let judged = |one: &Certificate| !one.facts.self_issued() && one.facts.broken_hash.is_none();
    chain.iter().enumerate().filter(|(_, one)| judged(one)).find_map(|(index, one)| {
        let mut named = chain.iter().filter(|other| other.facts.subject == one.facts.issuer).peekable();
        (named.peek().is_some() && !named.any(|issuer| is_issued_by(&one.der, &issuer.facts))).then(|| {
            format!(
                "certificate {} of the file ({}) was issued by another CA of the same name than the one in the \
                 file; append the chain that the CA gave with it, or clients will refuse the connection",
                index + 1,
                one.facts.label
            )
        })
    })
}

fn doubts(leaf: &Facts) -> Vec<String> {
    let mut doubts = Vec::new();
    if leaf.ca && leaf.self_issued() {
        doubts.push(
            "the certificate is its own CA; docker, podman and curl accept that when they trust it, others may \
             not: `tidegate cert ca` and `tidegate cert server` make a proper pair"
                .to_owned(),
        );
    }
    if leaf.version_3 && leaf.names().next().is_none() {
        doubts.push(
            "the certificate bears no subjectAltName; docker and all current clients ignore the common name and \
             will refuse the connection"
                .to_owned(),
        );
    }
    if !leaf.for_servers {
        doubts.push(
            "the certificate is not meant for a server (its extendedKeyUsage lacks serverAuth); clients will \
             refuse the connection"
                .to_owned(),
        );
    }
    if let Some(hash) = leaf.broken_hash.filter(|_| !leaf.self_issued()) {
        doubts.push(format!("the certificate is signed with {hash}, which clients no longer accept"));
    }
    doubts
}

#[cfg(test)]
mod tests;
