//! The certificate of `acme.state`: what is served of it, and whether a new one may take its place.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::directory::Directory;
use super::failure::Failure;
use super::store::{Renewal, Store};
use crate::config::{Acme, Problem, Problems};
use crate::secret::Secret;
use crate::tls::check::{self, date};
use crate::tls::identity::{self, Identity};
use crate::tls::pair::{self, Content};
use crate::tls::provider;
use crate::tls::x509::Facts;

/// It is renewed in time; when that fails, `renewal.json` says so.
const SOON: Duration = Duration::ZERO;

/// What is to be served: the certificate that is kept, or a temporary one while there is none that is good.
///
/// # Errors
/// The folder cannot be written to, or the roots cannot be read.
pub(in crate::tls) fn serve(
    acme: &Acme,
    now: OffsetDateTime,
) -> Result<(Vec<Identity>, Vec<Problem>), Problems> {
    let store = Store::new(&acme.state);
    let obstacle = store.obstacle().into_iter();
    let problems: Vec<_> =
        obstacle.chain(Directory::new(acme).err().into_iter().flat_map(|problems| problems.0)).collect();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let (identities, mut warnings) = match identity::load(&[acme.files()], SOON, now) {
        Ok(loaded) => loaded,
        Err(problems) => temporary(acme, &problems, now)?,
    };
    let renewal = store.renewal().filter(|renewal| renewal.is_of(acme) && renewal.failures > 0);
    warnings.extend(renewal.map(|renewal| {
        let message = format!(
            "the directory {} has given no certificate in {} attempts; the last one: {}; the next one: {}",
            acme.directory,
            renewal.failures,
            renewal.error.as_deref().unwrap_or("unknown"),
            date(renewal.next),
        );
        Problem::new("acme", message)
    }));
    Ok((identities, warnings))
}

/// When the next attempt is due: when `renewal`, which is of these settings, says so; at once when it tells of
/// a certificate that is not there.
pub(super) fn next(acme: &Acme, renewal: Option<&Renewal>, now: OffsetDateTime) -> OffsetDateTime {
    match renewal {
        Some(renewal) if renewal.failures > 0 || identity::load(&[acme.files()], SOON, now).is_ok() => {
            renewal.next
        }
        _ => now,
    }
}

/// The last moment of the certificate that is kept.
pub(super) fn expiry(acme: &Acme) -> Option<OffsetDateTime> {
    pair::read(&acme.files()).chain?.first().map(|leaf| leaf.facts.not_after)
}

/// Whether chain and key are what was ordered, and good until when.
pub(super) fn judge(acme: &Acme, pem: &Secret, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let files = acme.files();
    let pair = pair::read_with(&files, |_| Ok(Content { bytes: pem.expose().to_vec(), mode: 0o600 }));
    let chain = pair.chain.unwrap_or_default();
    let findings = check::chain(&files.certificate, &chain, SOON, now, &|_| true);
    let fault = pair.problems.into_iter().chain(findings.errors).map(|problem| problem.message).next();
    let unusable = |fault| Failure::new(format!("it gave a certificate that cannot be used: {fault}"));
    match (fault, chain.first()) {
        (Some(fault), _) => Err(unusable(fault)),
        (None, None) => Err(unusable("there is none".to_owned())),
        (None, Some(leaf)) => match acme.names.iter().find(|name| !leaf.facts.covers(name)) {
            Some(name) => Err(unusable(format!("it does not bear the name {name}"))),
            None => Ok(leaf.facts.not_after),
        },
    }
}

/// A certificate that no client trusts, so that there is one: without it nobody gets an answer, the directory neither.
fn temporary(
    acme: &Acme,
    problems: &Problems,
    now: OffsetDateTime,
) -> Result<(Vec<Identity>, Vec<Problem>), Problems> {
    let made = self_signed(acme, now).map_err(|error| {
        Problems(vec![Problem::new("acme", format!("no temporary certificate can be made: {error}"))])
    })?;
    let cause = match problems.0.iter().find(|problem| !problem.missing) {
        Some(problem) => format!("the one in {problem}"),
        None => "there is none yet".to_owned(),
    };
    let message = format!(
        "a temporary certificate, which no client trusts, is served until {} has given one: {cause}",
        acme.directory
    );
    Ok((vec![made], vec![Problem::new("acme", message)]))
}

fn self_signed(acme: &Acme, now: OffsetDateTime) -> Result<Identity, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new(acme.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "temporary certificate of tidegate");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (now - Duration::DAY, now + Duration::days(365));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let facts = Facts::read(&certificate).ok_or("it cannot be read")?;
    let key = provider().key_provider.load_private_key(PrivateKeyDer::try_from(key.serialize_der())?)?;
    Ok(Identity { certified: CertifiedKey::new(vec![certificate], key), facts, staple: None })
}

#[cfg(test)]
mod tests;
