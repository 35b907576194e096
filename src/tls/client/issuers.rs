//! The CAs of `tls.client.ca`, and the judgement of a chain by them.

use std::iter::{once, zip};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use super::{Lists, Unfit};
use crate::config::{Problem, Problems, UserFrom};
use crate::tls::check::date;
use crate::tls::pair::{open, problem, unreadable};
use crate::tls::pem;
use crate::tls::provider;
use crate::tls::x509::{Crl, Facts};

/// The longest name that a line of an htpasswd may have, too.
const LONGEST_NAME: usize = 255;

pub(super) struct Issuers {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of the same certificates, in the same order.
    pub(super) facts: Vec<Facts>,
    user_from: UserFrom,
}

impl Issuers {
    pub(super) fn read(
        path: &Path,
        user_from: UserFrom,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Problem>), Problems> {
        let content = open(path).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
        let certificates =
            pem::certificates(&content.bytes).map_err(|fault| Problems(vec![problem(path, fault)]))?;
        let mut issuers = Self { anchors: Vec::new(), facts: Vec::new(), user_from };
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for (index, der) in certificates.iter().enumerate() {
            let (Ok(anchor), Some(facts)) = (anchor_from_trusted_cert(der), Facts::read(der)) else {
                let message = format!("certificate {} of the file cannot be used as a CA's", index + 1);
                problems.push(problem(path, message));
                continue;
            };
            let label = &facts.label;
            if !facts.is_current(now) {
                let (from, until) = (date(facts.not_before), date(facts.not_after));
                let message = format!(
                    "the CA {label} is valid from {from} to {until} only; its certificates are refused"
                );
                warnings.push(problem(path, message));
            }
            if !facts.ca && facts.version_3 {
                let message = format!("{label} is no CA; only a certificate that it signed would count");
                warnings.push(problem(path, message));
            }
            issuers.anchors.push(anchor.to_owned());
            issuers.facts.push(facts);
        }
        if problems.is_empty() { Ok((issuers, warnings)) } else { Err(Problems(problems)) }
    }

    /// Reads a file of revoked certificates. Those of intermediate CAs are in order until their signer is known.
    pub(super) fn lists(&self, path: &Path, bytes: &[u8]) -> Result<Lists, Problem> {
        let ders = pem::revocation_lists(bytes).map_err(|fault| problem(path, fault))?;
        let lists: Vec<_> =
            ders.iter().map(Crl::read).collect::<Result<_, _>>().map_err(|fault| problem(path, fault))?;
        for list in &lists {
            let mut named = self.facts.iter().filter(|facts| facts.subject == list.issuer).peekable();
            if named.peek().is_some() && !named.any(|facts| list.is_signed_by(&facts.public_key)) {
                let message = "holds a list that bears the name of a CA of tls.client.ca, but not its signature; \
                               get the list from that CA";
                return Err(problem(path, message));
            }
        }
        Ok(lists)
    }

    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'static>],
        lists: &[Arc<Lists>],
        now: OffsetDateTime,
    ) -> Result<Arc<str>, Unfit> {
        let (leaf, intermediates) = chain.split_first().ok_or(Unfit::Unusable)?;
        let time = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let path = |path: &VerifiedPath<'_>| self.check_path(leaf, path, lists, now);
        EndEntityCert::try_from(leaf)?.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.anchors,
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(time)),
            KeyUsage::client_auth(),
            None,
            Some(&path),
        )?;
        let facts = Facts::read(leaf).ok_or(Unfit::Unusable)?;
        let name = match self.user_from {
            UserFrom::CommonName => facts.common_name,
            UserFrom::AlternativeName => facts.alternative_name,
        };
        user_name(&name.unwrap_or_default())
    }

    /// What webpki leaves to us: the CA's own validity, and lists of any version.
    fn check_path(
        &self,
        leaf: &CertificateDer<'_>,
        path: &VerifiedPath<'_>,
        lists: &[Arc<Lists>],
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let anchor = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let anchor = anchor.and_then(|index| self.facts.get(index)).ok_or(Error::UnknownIssuer)?;
        if !anchor.is_current(now) {
            return Err(Error::CertDistrusted);
        }
        let above = path.intermediate_certificates().map(|certificate| Facts::read(&certificate.der()));
        let chain: Option<Vec<_>> = once(Facts::read(leaf)).chain(above).collect();
        let chain = chain.ok_or(Error::BadDer)?;
        let issuers = chain.iter().skip(1).chain(once(anchor));
        zip(&chain, issuers).try_for_each(|(facts, issuer)| check_revocation(facts, issuer, lists, now))
    }
}

/// Without a list of its issuer a certificate is not revoked. With lists, one has to be signed by it and up to date.
fn check_revocation(
    facts: &Facts,
    issuer: &Facts,
    lists: &[Arc<Lists>],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut of_issuer =
        lists.iter().flat_map(|lists| lists.iter()).filter(|list| list.issuer == issuer.subject).peekable();
    if of_issuer.peek().is_none() {
        return Ok(());
    }
    let mut is_current = false;
    for list in of_issuer.filter(|list| list.is_signed_by(&issuer.public_key)) {
        if list.revokes(&facts.serial) {
            return Err(Error::CertRevoked);
        }
        is_current |= list.next_update.is_none_or(|next| now < next);
    }
    if is_current { Ok(()) } else { Err(Error::UnknownRevocationStatus) }
}

/// A colon would end the name in the Basic credentials that the registry gets, and make another user of it.
pub(super) fn user_name(name: &str) -> Result<Arc<str>, Unfit> {
    if name.is_empty() {
        return Err(Unfit::Nameless);
    }
    let bad = name.len() > LONGEST_NAME || name.contains(|c: char| c == ':' || c.is_control());
    if bad { Err(Unfit::Name) } else { Ok(name.into()) }
}
