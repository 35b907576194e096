//! The CAs of `tls.client.ca`, and the judgement of a chain by them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::iter::{once, zip};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use super::path::straight;
use super::rejection::CertificateRejection;
use crate::config::UserFrom;
use crate::crypto::provider;
use crate::disk;
use crate::pki::date;
use crate::pki::pair::unreadable;
use crate::pki::pem;
use crate::pki::{Crl, Facts};
use crate::problem::{Problem, Problems};
use crate::user::{BadName, User};

/// The CRLs of one file.
pub(super) type Lists = Vec<Crl>;

pub(super) struct Issuers {
    anchors: Vec<TrustAnchor<'static>>,
    /// The facts of the same certificates, in the same order.
    pub(super) facts: Vec<Facts>,
    user_from: UserFrom,
}

impl Issuers {
    pub(super) fn read(
        path: &Path,
        user_from: UserFrom,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Problem>), Problems> {
        let content =
            disk::read(path, disk::SMALL).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
        let certificates =
            pem::certificates(&content.bytes).map_err(|fault| Problems(vec![Problem::at(path, fault)]))?;
        let mut issuers = Self { anchors: Vec::new(), facts: Vec::new(), user_from };
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for (index, der) in certificates.iter().enumerate() {
            let (Ok(anchor), Some(facts)) = (anchor_from_trusted_cert(der), Facts::read(der)) else {
                let message =
                    format!("certificate {} of the file cannot be used as a CA certificate", index + 1);
                problems.push(Problem::at(path, message));
                continue;
            };
            let label = &facts.label;
            if !facts.is_current(now) {
                let (from, until) = (date(facts.not_before), date(facts.not_after));
                let message = format!(
                    "the CA {label} is valid from {from} to {until} only; its certificates are refused"
                );
                warnings.push(Problem::at(path, message));
            }
            if !facts.ca && facts.version_3 {
                let message = format!("{label} is not a CA; only certificates that it signed are accepted");
                warnings.push(Problem::at(path, message));
            }
            issuers.anchors.push(anchor.to_owned());
            issuers.facts.push(facts);
        }
        if problems.is_empty() { Ok((issuers, warnings)) } else { Err(Problems(problems)) }
    }

    /// Reads a CRL file. A CRL from an intermediate CA cannot be verified yet and is accepted until
    /// its issuer is seen.
    pub(super) fn lists(&self, path: &Path, bytes: &[u8]) -> Result<Lists, Problem> {
        let ders = pem::revocation_lists(bytes).map_err(|fault| Problem::at(path, fault))?;
        let lists: Vec<_> =
            ders.iter().map(Crl::read).collect::<Result<_, _>>().map_err(|fault| Problem::at(path, fault))?;
        for list in &lists {
            let is_named = self.facts.iter().any(|facts| list.issuer == facts.subject);
            if is_named && !self.facts.iter().any(|facts| is_of(list, facts)) {
                let message = "holds a CRL with the name of a CA of tls.client.ca, but not signed by it; \
                               get the list from that CA";
                return Err(Problem::at(path, message));
            }
        }
        Ok(lists)
    }

    /// The labels of the CAs that have issued one of `lists`.
    pub(super) fn named(&self, lists: &Lists) -> BTreeSet<String> {
        let listed = self.facts.iter().filter(|facts| lists.iter().any(|list| is_of(list, facts)));
        listed.map(|facts| facts.label.clone()).collect()
    }

    /// The user that `chain` names. The user's own certificate comes first, and `leaf` holds its
    /// facts.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'static>],
        leaf: &Facts,
        lists: &[Arc<Lists>],
        now: OffsetDateTime,
    ) -> Result<User, CertificateRejection> {
        let (own, sent) = chain.split_first().ok_or(CertificateRejection::Unusable)?;
        // What cannot be read is not an issuer.
        let (intermediates, facts): (Vec<_>, Vec<_>) =
            sent.iter().filter_map(|der| Some((der, Facts::read(der)?))).unzip();
        let path = straight(leaf, &facts, &self.facts);
        let intermediates: Vec<_> = path.into_iter().map(|index| intermediates[index].clone()).collect();
        let time = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let objection = Cell::new(None);
        let check = |path: &VerifiedPath<'_>| {
            self.check_path(leaf, path, lists, now).map_err(|unfit| {
                objection.set(Some(unfit));
                OBJECTION
            })
        };
        let path = EndEntityCert::try_from(own)?;
        let verified = path.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.anchors,
            &intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(time)),
            KeyUsage::client_auth(),
            None,
            Some(&check),
        );
        match verified {
            Ok(_) => self.user(leaf),
            Err(OBJECTION) => Err(objection.take().unwrap_or(CertificateRejection::Unusable)),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks what webpki does not: whether the CA itself is valid, and CRLs of any version.
    fn check_path(
        &self,
        leaf: &Facts,
        path: &VerifiedPath<'_>,
        lists: &[Arc<Lists>],
        now: OffsetDateTime,
    ) -> Result<(), CertificateRejection> {
        let anchor = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let anchor = anchor.and_then(|index| self.facts.get(index)).ok_or(CertificateRejection::Stranger)?;
        if !anchor.is_current(now) {
            return Err(CertificateRejection::IssuerExpired);
        }
        let above = path.intermediate_certificates().map(|certificate| Facts::read(&certificate.der()));
        let above: Option<Vec<_>> = above.collect();
        let above = above.ok_or(CertificateRejection::Unusable)?;
        let chain = once(leaf).chain(&above);
        let issuers = above.iter().chain(once(anchor));
        zip(chain, issuers).try_for_each(|(facts, issuer)| check_revocation(facts, issuer, lists, now))
    }

    fn user(&self, leaf: &Facts) -> Result<User, CertificateRejection> {
        match self.user_from {
            UserFrom::AlternativeName => user_name(leaf.alternative_name.as_deref()),
            UserFrom::CommonName => match leaf.common_names.as_slice() {
                [] => Err(CertificateRejection::Nameless),
                [name] => user_name(name.as_deref()),
                // Other programs may read another of the names.
                _ => Err(CertificateRejection::Name),
            },
        }
    }
}

/// The error that rejects a path in webpki, which returns it if no other path is accepted.
const OBJECTION: Error = Error::CertDistrusted;

/// Accepts a certificate whose issuer has no CRL. If its issuer has some, none of them may list the
/// certificate, and one must be up to date.
fn check_revocation(
    facts: &Facts,
    issuer: &Facts,
    lists: &[Arc<Lists>],
    now: OffsetDateTime,
) -> Result<(), CertificateRejection> {
    let all = lists.iter().flat_map(|lists| lists.iter());
    let of_issuer: Vec<_> = all.filter(|list| is_of(list, issuer)).collect();
    if of_issuer.iter().any(|list| list.revokes(&facts.serial)) {
        return Err(CertificateRejection::Revoked);
    }
    let is_current = |list: &&Crl| list.next_update.is_none_or(|next| now < next);
    if of_issuer.is_empty() || of_issuer.iter().any(is_current) {
        Ok(())
    } else {
        Err(CertificateRejection::OutOfDate)
    }
}

/// Whether `issuer` has made the list. Compares name and key, because a CA may change its key and
/// keep its name.
pub(super) fn is_of(list: &Crl, issuer: &Facts) -> bool {
    list.issuer == issuer.subject && list.is_signed_by(&issuer.public_key)
}

/// A local name without invisible characters, which could make one user look like another.
pub(super) fn user_name(name: Option<&str>) -> Result<User, CertificateRejection> {
    let name = name.ok_or(CertificateRejection::Nameless)?;
    let invisible = |c: char| c.is_control() || INVISIBLE.iter().any(|range| range.contains(&c));
    if name.trim() != name || name.contains(invisible) {
        return Err(CertificateRejection::Name);
    }
    User::local(name).map_err(|bad| match bad {
        BadName::Empty => CertificateRejection::Nameless,
        _ => CertificateRejection::Name,
    })
}

/// The soft hyphen, characters of no width, and marks that change the direction of text.
const INVISIBLE: [RangeInclusive<char>; 5] = [
    '\u{ad}'..='\u{ad}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
];
