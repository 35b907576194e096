//! Loading the certificate of `acme.state` and validating new ones.

use instant_acme::CertificateIdentifier;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::binding;
use super::directory::Directory;
use super::error::IssuanceError;
use super::schedule;
use super::store::{Renewal, Store};
use crate::config::Acme;
use crate::crypto::provider;
use crate::disk::{self, Content, Mode};
use crate::pki::pair;
use crate::pki::{self, Facts, RenewedBy, ServedCertificate, SystemRoots, date};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// The common name of the temporary certificate.
const TEMPORARY: &str = "temporary certificate of tidegate";

/// Returns the certificate to serve, with warnings: the one in `acme.state`. While that is
/// unusable, returns those served `before`, or a temporary one if there are none.
///
/// # Errors
/// - The certificate is unusable, and the folder for a new one is not writable.
/// - The roots cannot be read.
pub(crate) fn serve(
    acme: &Acme,
    before: &[ServedCertificate],
    system: &SystemRoots,
    now: OffsetDateTime,
) -> Result<(Vec<ServedCertificate>, Vec<Problem>), Problems> {
    Directory::new(acme, system)?;
    acme.eab.as_ref().map(binding::read).transpose()?;
    let store = Store::new(&acme.state);
    let obstacle = store.write_obstacle();
    let (certificates, mut warnings) =
        match pki::load(&[acme.files()], RenewedBy::Acme, now, &|name| system.have(name)) {
            Ok((certificates, mut warnings)) => {
                warnings.extend(obstacle);
                (certificates, warnings)
            }
            Err(problems) => {
                let served = match before {
                    [] => vec![temporary(acme, now)?],
                    before => before.to_vec(),
                };
                let warnings = vec![substitute_warning(acme, &served, &problems)];
                match obstacle {
                    Some(obstacle) => return Err(obstacle.into()),
                    None => (served, warnings),
                }
            }
        };
    let renewal = store.renewal().filter(|renewal| renewal.matches(acme) && renewal.failures > 0);
    warnings.extend(renewal.map(|renewal| {
        let message = format!(
            "the directory {} has issued no certificate in {} attempts; last error: {}; next attempt: {}",
            acme.directory,
            renewal.failures,
            renewal.error.as_deref().unwrap_or("unknown"),
            date(renewal.next),
        );
        Problem::new("acme", message)
    }));
    Ok((certificates, warnings))
}

/// The warning that names what is served instead of the certificate in the folder, and why.
fn substitute_warning(acme: &Acme, served: &[ServedCertificate], problems: &Problems) -> Problem {
    let cause = match problems.0.iter().find(|problem| !problem.missing) {
        Some(problem) => format!("the one in {problem}"),
        None => "there is none yet".to_owned(),
    };
    let served = if served.iter().any(is_temporary) {
        "a temporary certificate, which no client trusts, is in service"
    } else {
        "the previous certificate stays in service"
    };
    Problem::new("acme", format!("{served} until {} has issued one: {cause}", acme.directory))
}

/// Returns when the next attempt is due: the time in `renewal`, which must match these settings.
/// Returns `now` if the certificate is missing, or if that time is so late that it must come from a
/// wrong clock.
pub(super) fn next_attempt(acme: &Acme, renewal: Option<&Renewal>, now: OffsetDateTime) -> OffsetDateTime {
    let Some(renewal) = renewal else { return now };
    let latest = match (renewal.failures, validity(acme)) {
        (0, None) => return now,
        (0, Some((_, until))) => until,
        (_, _) => now + schedule::LONGEST_RETRY_AFTER,
    };
    if renewal.next <= latest { renewal.next } else { now }
}

/// Returns the validity of the stored certificate, if it is usable.
pub(super) fn validity(acme: &Acme) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let (certificates, _) =
        pki::load(&[acme.files()], RenewedBy::Acme, OffsetDateTime::now_utc(), &|_| true).ok()?;
    certificates.first().map(|certificate| (certificate.facts.not_before, certificate.facts.not_after))
}

/// Whether a certificate that another replica has got is to be served instead of the one in the
/// folder.
pub(super) fn is_newer(acme: &Acme, pem: &Secret) -> bool {
    let Ok((from, _)) = validate(acme, pem, OffsetDateTime::now_utc()) else { return false };
    let is_same =
        disk::read(&acme.files().certificate, disk::SMALL).is_ok_and(|content| content.bytes == pem.expose());
    !is_same && validity(acme).is_none_or(|(kept, _)| from >= kept)
}

/// Whether the folder has a certificate for these settings.
pub(super) fn is_kept(acme: &Acme) -> bool {
    let read = disk::read(&acme.files().certificate, disk::SMALL);
    let renewal = Store::new(&acme.state).renewal();
    renewal.is_some_and(|renewal| renewal.matches(acme))
        && read.is_ok_and(|content| {
            validate(acme, &Secret::new(content.bytes), OffsetDateTime::now_utc()).is_ok()
        })
}

/// The stored certificate's name for its directory (RFC 9773 section 4.1). `None` if none is
/// usable, or if it does not name its issuer's key.
pub(super) fn identifier(acme: &Acme) -> Option<CertificateIdentifier<'static>> {
    let (certificates, _) =
        pki::load(&[acme.files()], RenewedBy::Acme, OffsetDateTime::now_utc(), &|_| true).ok()?;
    let leaf = certificates.first()?.certified.cert.first()?;
    CertificateIdentifier::try_from(leaf).map(CertificateIdentifier::into_owned).ok()
}

/// Checks that chain and key are usable and cover the names. Returns the validity period. A
/// certificate that is not valid yet is accepted: the clock of this machine may be behind.
pub(super) fn validate(
    acme: &Acme,
    pem: &Secret,
    now: OffsetDateTime,
) -> Result<(OffsetDateTime, OffsetDateTime), IssuanceError> {
    let files = acme.files();
    let pair =
        pair::read_with(&files, |_| Ok(Content { bytes: pem.expose().to_vec(), mode: Mode::private() }));
    let chain = pair.chain.unwrap_or_default();
    let findings = pki::check_chain(&files.certificate, &chain, RenewedBy::Acme, now, &|_| true);
    let error = pair.problems.into_iter().chain(findings.errors).map(|problem| problem.message).next();
    let unusable = |error| IssuanceError::new(format!("it issued an unusable certificate: {error}"));
    let leaf = match (error, chain.first()) {
        (Some(error), _) => return Err(unusable(error)),
        (None, None) => return Err(unusable("the chain is empty".to_owned())),
        (None, Some(leaf)) => &leaf.facts,
    };
    if let Some(name) = acme.names.iter().find(|name| !leaf.covers(name)) {
        return Err(unusable(format!("it does not cover the name {name}")));
    }
    if leaf.not_after <= now {
        return Err(unusable(format!("it expired on {}; check this machine's clock", date(leaf.not_after))));
    }
    Ok((leaf.not_before, leaf.not_after))
}

/// Whether this is the certificate that is served until the directory has issued the first one.
pub(crate) fn is_temporary(served: &ServedCertificate) -> bool {
    served.facts.label == TEMPORARY
}

/// Creates a certificate that no client trusts. Without any, the directory's handshakes would fail
/// too.
fn temporary(acme: &Acme, now: OffsetDateTime) -> Result<ServedCertificate, Problem> {
    self_signed(acme, now)
        .map_err(|error| Problem::new("acme", format!("a temporary certificate cannot be created: {error}")))
}

fn self_signed(acme: &Acme, now: OffsetDateTime) -> Result<ServedCertificate, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(acme.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, TEMPORARY);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (now - Duration::DAY, now + Duration::days(365));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let facts = Facts::read(&certificate).ok_or("it cannot be read")?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let secret = pki::derived(&key);
    let certified = CertifiedKey::new(vec![certificate], provider().key_provider.load_private_key(key)?);
    Ok(ServedCertificate { certified, secret, facts, staple: None })
}

#[cfg(test)]
mod tests;
