//! Checks whether clients will accept a chain: dates, order, purpose and names.

use std::net::IpAddr;
use std::path::Path;

use time::{Duration, OffsetDateTime};

use super::dates::{date, span};
use super::facts::{Facts, is_issued_by};
use super::pair::Certificate;
use crate::problem::Problem;

/// The results of the checks of one chain.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Reasons why no client accepts the chain.
    pub(crate) errors: Vec<Problem>,
    /// Reasons why some clients refuse the chain, or why all will soon.
    pub(crate) warnings: Vec<Problem>,
}

/// Who renews a certificate. Decides how strictly its dates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenewedBy {
    /// The operator: the certificate must be valid, and a warning precedes its expiry.
    Operator,
    /// tidegate itself, by ACME: while there is no other certificate, wrong dates are only a
    /// warning. The clock of this machine may be wrong.
    Acme,
}

/// Checks the chain of one file at the time `now`. `is_root` returns whether the system trusts a
/// CA with this name, given as DER.
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
    if let Some(message) = wrong_kind(&leaf.facts) {
        error(message);
    }
    if let Some(message) = order_error(chain) {
        error(message);
    }
    let mut warn = |message: String| findings.warnings.push(Problem::at(path, message));
    if let (RenewedBy::Operator, Some(message)) = (renewed_by, expires_soon(&leaf.facts, now)) {
        warn(message);
    }
    for message in client_warnings(&leaf.facts) {
        warn(message);
    }
    if let Some(message) = incomplete(&leaf.facts, issuers, is_root).or_else(|| wrong_issuer(chain)) {
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

/// Returns a warning for each of `names`, which `key` lists, that no certificate covers.
pub(crate) fn names<'a>(
    key: &str,
    names: &[String],
    certificates: impl Iterator<Item = &'a Facts> + Clone,
) -> Vec<Problem> {
    let covered = || match certificates.clone().flat_map(Facts::names).collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        names => names.join(", "),
    };
    names
        .iter()
        .filter(|name| !certificates.clone().any(|facts| facts.covers(name)))
        .map(|name| {
            let message = format!(
                "no certificate covers {name} (covered: {}); clients that use this name will refuse the connection",
                covered()
            );
            Problem::new(key, message)
        })
        .collect()
}

/// A 90-day certificate is usually renewed 30 days before its expiry. With 21 days left, renewal
/// has failed for some time.
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

fn wrong_kind(leaf: &Facts) -> Option<String> {
    if !leaf.version_3 {
        return Some(
            "the certificate is of the old X.509 version 1, which cannot name a host; create it with \
             extensions and a subjectAltName (`openssl x509 -req -extfile …`)"
                .to_owned(),
        );
    }
    // `openssl req -x509` marks every certificate as a CA certificate, and docker accepts such a
    // server certificate. The registry's documentation creates its example that way.
    let is_for_a_server = leaf.self_issued() && leaf.names().next().is_some();
    let host = Some(leaf.label.as_str()).filter(|label| is_host(label));
    if leaf.ca && leaf.self_issued() && !is_for_a_server && (host.is_some() || !leaf.marked_as_signer) {
        return Some(nameless(leaf, host));
    }
    (leaf.ca && !is_for_a_server).then(|| {
        format!(
            "the first certificate ({}) is a CA's, not a server's; put the server's certificate first, or create \
             one with `tidegate cert server`",
            leaf.label
        )
    })
}

/// The message about a self-signed certificate that is for no host. `host` is its common name, if
/// that is one: then it is a server's, else it may be a CA's.
fn nameless(leaf: &Facts, host: Option<&str>) -> String {
    let doubt = match host {
        Some(_) => "",
        None => "; if it is a CA's, put the server's certificate first",
    };
    let host = host.unwrap_or("registry.example.com");
    let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    format!(
        "the certificate ({}) is self-signed and has no subjectAltName, so no client accepts it for any host; create \
         one with `tidegate cert ca` and `tidegate cert server`, or add `-addext subjectAltName={kind}:{host}` to \
         `openssl req -x509`{doubt}",
        leaf.label
    )
}

/// Whether a common name is the name or address of a host.
fn is_host(name: &str) -> bool {
    let is_name = || {
        (name.contains('.') || name == "localhost")
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*'))
            })
    };
    name.parse::<IpAddr>().is_ok() || is_name()
}

/// Each certificate after the first must be the issuer of an earlier one. RFC 8446 section 4.4.2
/// lets clients sort the chain, but not all do. A second certificate of the same issuer (a
/// cross-signed one) is allowed.
fn order_error(chain: &[Certificate]) -> Option<String> {
    (1..chain.len()).find_map(|index| {
        let (before, rest) = chain.split_at(index);
        let stray = rest.first()?;
        let issued = before.iter().any(|one| one.facts.issuer == stray.facts.subject);
        (!issued).then(|| {
            format!(
                "the chain is not in order: certificate {} ({}) did not issue any of the earlier ones; put the \
                 server's own first, then its issuer, then the issuer's issuer, and nothing else",
                index + 1,
                stray.facts.label
            )
        })
    })
}

/// Whether an intermediate is missing can only be guessed: public CAs issue with one, private CAs
/// often without.
fn incomplete(leaf: &Facts, issuers: &[Certificate], is_root: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let seems = issuers.is_empty() && !leaf.self_issued() && leaf.looks_public && !is_root(&leaf.issuer);
    seems.then(|| {
        "the file holds only the server's own certificate, which was probably issued by an intermediate CA; \
         append the CA's chain (often called fullchain.pem), or docker and others will refuse the connection"
            .to_owned()
    })
}

/// A CA that renews its key keeps its name, so its old certificate looks like the issuer of what
/// the new key signed. A signature with a broken hash cannot be verified; [`client_warnings`]
/// reports it.
fn wrong_issuer(chain: &[Certificate]) -> Option<String> {
    let is_verifiable = |one: &Certificate| !one.facts.self_issued() && one.facts.broken_hash.is_none();
    chain.iter().enumerate().filter(|(_, one)| is_verifiable(one)).find_map(|(index, one)| {
        let mut named = chain.iter().filter(|other| other.facts.subject == one.facts.issuer).peekable();
        (named.peek().is_some() && !named.any(|issuer| is_issued_by(&one.der, &issuer.facts))).then(|| {
            format!(
                "certificate {} of the file ({}) was issued by another CA of the same name than the one in the \
                 file; append the chain that came with the certificate, or clients will refuse the connection",
                index + 1,
                one.facts.label
            )
        })
    })
}

fn client_warnings(leaf: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    if leaf.ca && leaf.self_issued() {
        warnings.push(
            "the certificate is its own CA; docker, podman and curl accept that when they trust it, others may \
             not; `tidegate cert ca` and `tidegate cert server` create a proper pair"
                .to_owned(),
        );
    }
    if leaf.version_3 && leaf.names().next().is_none() {
        warnings.push(
            "the certificate has no subjectAltName; docker and all current clients ignore the common name and \
             will refuse the connection"
                .to_owned(),
        );
    }
    if !leaf.for_servers {
        warnings.push(
            "the certificate is not for servers (its extendedKeyUsage lacks serverAuth); clients will \
             refuse the connection"
                .to_owned(),
        );
    }
    if let Some(hash) = leaf.broken_hash.filter(|_| !leaf.self_issued()) {
        warnings.push(format!("the certificate is signed with {hash}, which clients no longer accept"));
    }
    warnings
}

#[cfg(test)]
mod tests;
