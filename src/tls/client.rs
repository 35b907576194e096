//! Certificates that clients show. The handshake takes any, if only its key is the client's; whether it counts is judged
//! at each request, so that the refusal is an answer that can be read, and a revocation needs no new connection.

mod asking;
mod issuers;

use std::cell::RefCell;
use std::iter::zip;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use time::OffsetDateTime;
use webpki::Error;

use self::asking::Asking;
use self::issuers::Issuers;
use super::check::date;
use super::pair::problem;
use super::x509::{Crl, Facts};
use crate::config::{ClientCertificates, Problem, Problems};
use crate::live_file::LiveFile;

/// A judgement is made anew after so long: validity begins and ends.
const FRESH: Duration = Duration::from_secs(1);
/// A list of revoked certificates that ends within this time deserves a warning.
const SOON: time::Duration = time::Duration::days(7);

/// The CAs whose certificates count, and what they have revoked.
pub struct Authorities {
    issuers: Arc<Issuers>,
    lists: Vec<LiveFile<Lists>>,
}

/// What one file of revoked certificates holds.
type Lists = Vec<Crl>;

/// Why a certificate does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its time, or that of an intermediate one, is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It leads to none of the CAs.
    Stranger,
    /// The CA it leads to has expired itself.
    IssuerExpired,
    /// It is in a list.
    Revoked,
    /// There are lists of its CA, but none that is signed by it and up to date.
    Unlisted,
    /// Its extendedKeyUsage lacks clientAuth.
    Purpose,
    /// It is of X.509 version 1.
    Version,
    /// It cannot be read, or something in it is not understood.
    Unusable,
    /// It names nobody where `tls.client.user_from` looks.
    Nameless,
    /// Its name cannot be a user's: it holds a colon or a control character, or is too long.
    Name,
}

impl Unfit {
    /// A sentence for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Expired => "the client certificate has expired",
            Self::NotYetValid => "the client certificate is not valid yet",
            Self::Stranger => "the client certificate is from no CA of tls.client.ca",
            Self::IssuerExpired => "the CA of the client certificate is not valid now",
            Self::Revoked => "the client certificate is revoked",
            Self::Unlisted => "the CA's list of revoked certificates is out of date or not signed by it",
            Self::Purpose => "the certificate is not for client authentication (extendedKeyUsage)",
            Self::Version => "the client certificate is of X.509 version 1; issue it with extensions",
            Self::Unusable => "the client certificate cannot be used",
            Self::Nameless => "the client certificate names no user where tls.client.user_from looks",
            Self::Name => "the name in the client certificate cannot be that of a user",
        }
    }
}

/// What a client has shown in its handshake, or in the one that its session comes from.
pub struct Shown {
    /// Its own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// What its certificate calls itself, whether true or not; printable.
    pub label: String,
    judged: RefCell<Option<Judged>>,
}

/// A judgement, and what it rests on.
struct Judged {
    at: Instant,
    issuers: Arc<Issuers>,
    lists: Vec<Arc<Lists>>,
    verdict: Result<Arc<str>, Unfit>,
}

impl Shown {
    /// `chain` as the client sent it; nothing when it sent none.
    pub fn new(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let label = Facts::read(chain.first()?).map_or_else(|| "unreadable".to_owned(), |facts| facts.label);
        Some(Self { chain: chain.to_vec(), label, judged: RefCell::default() })
    }
}

impl Authorities {
    /// Reads the files of `settings`. Beside the authorities: what works today and deserves a line in the log.
    ///
    /// # Errors
    /// A file is missing, cannot be read, or does not hold what it should; a list is not signed by its CA.
    pub(super) fn open(
        settings: &ClientCertificates,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Problem>), Problems> {
        let (issuers, mut warnings) = Issuers::read(&settings.ca, settings.user_from, now)?;
        let issuers = Arc::new(issuers);
        let mut problems = Vec::new();
        let mut lists = Vec::new();
        for path in &settings.crl {
            let of = issuers.clone();
            let parse =
                move |path: &Path, bytes: &[u8]| of.lists(path, bytes).map_err(|problem| vec![problem]);
            let remedy = "make it with: tidegate cert ca --crl";
            match LiveFile::open(path, "list of revoked certificates", remedy, Box::new(parse)) {
                Ok(file) => lists.push(file),
                Err(found) => problems.extend(found.0),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let authorities = Self { issuers, lists };
        warnings.extend(authorities.doubts(&settings.ca, now));
        Ok((authorities, warnings))
    }

    /// The name of the user who has shown these certificates, if they count. Costs one stat for each list, and
    /// once a second the signatures of the chain.
    pub fn user(&self, shown: &Shown) -> Result<Arc<str>, Unfit> {
        let lists: Vec<_> = self.lists.iter().map(LiveFile::current).collect();
        let mut judged = shown.judged.borrow_mut();
        if let Some(known) = &*judged
            && known.at.elapsed() < FRESH
            && Arc::ptr_eq(&known.issuers, &self.issuers)
            && known.lists.len() == lists.len()
            && zip(&known.lists, &lists).all(|(known, now)| Arc::ptr_eq(known, now))
        {
            return known.verdict.clone();
        }
        let verdict = self.issuers.judge(&shown.chain, &lists, OffsetDateTime::now_utc());
        let issuers = self.issuers.clone();
        *judged = Some(Judged { at: Instant::now(), issuers, lists, verdict: verdict.clone() });
        verdict
    }

    /// What asks for certificates in a handshake, with the names of the CAs.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Asking::new(self.issuers.facts.iter().map(|facts| facts.subject.clone())))
    }

    /// Whose certificates are asked for; what was asked for otherwise was answered otherwise.
    pub(super) fn public_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.issuers.facts.iter().map(|facts| facts.public_key.as_slice())
    }

    fn doubts(&self, ca: &Path, now: OffsetDateTime) -> Vec<Problem> {
        let mut doubts = Vec::new();
        for file in &self.lists {
            for next in file.current().iter().filter_map(|list| list.next_update) {
                let renew = "renew it, with `tidegate cert ca --crl` if that made it";
                if next <= now {
                    let message = format!(
                        "this list of revoked certificates is out of date since {}, and all certificates of its CA are refused; {renew}",
                        date(next)
                    );
                    doubts.push(problem(file.path(), message));
                } else if next - now < SOON {
                    let message = format!(
                        "this list of revoked certificates ends on {}, and with it access by certificate; {renew}",
                        date(next)
                    );
                    doubts.push(problem(file.path(), message));
                }
            }
        }
        let listed = |facts: &Facts| {
            self.lists.iter().any(|file| file.current().iter().any(|list| list.issuer == facts.subject))
        };
        for facts in self.issuers.facts.iter().filter(|facts| !self.lists.is_empty() && !listed(facts)) {
            let message = format!(
                "no file of tls.client.crl is of {}: none of its certificates is revoked",
                facts.label
            );
            doubts.push(problem(ca, message));
        }
        doubts
    }
}

impl From<Error> for Unfit {
    #[expect(deprecated, reason = "the older variants may still come")]
    fn from(error: Error) -> Self {
        match error {
            Error::CertExpired { .. } => Self::Expired,
            Error::CertNotValidYet { .. } => Self::NotYetValid,
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Self::Stranger,
            Error::CertDistrusted => Self::IssuerExpired,
            Error::CertRevoked => Self::Revoked,
            Error::UnknownRevocationStatus => Self::Unlisted,
            Error::RequiredEkuNotFound | Error::RequiredEkuNotFoundContext(_) => Self::Purpose,
            Error::UnsupportedCertVersion => Self::Version,
            error => {
                tracing::debug!(%error, "a client certificate cannot be used");
                Self::Unusable
            }
        }
    }
}

#[cfg(test)]
mod tests;
