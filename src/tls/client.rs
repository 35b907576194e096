//! Certificates that clients show. The handshake takes any, if only its key is the client's; whether it counts is judged
//! at each request, so that the refusal is an answer that can be read, and a revocation needs no new connection.

mod accept_any;
mod issuers;

use std::cell::RefCell;
use std::iter::zip;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use time::OffsetDateTime;
use webpki::Error;

use self::accept_any::Asking;
use self::issuers::{Issuers, is_of};
use crate::config::ClientCertificates;
use crate::live_file::LiveFile;
use crate::pki::date;
use crate::pki::{Crl, Facts};
use crate::problem::{Problem, Problems};
use crate::user::User;

/// A client's certificate, six intermediate ones, as many as webpki follows, and the CA's, which some send along.
const LONGEST: usize = 8;
/// A judgement is made anew after so long: validity begins and ends.
const FRESH: Duration = Duration::from_secs(1);
/// A list of revoked certificates that ends within this time deserves a warning.
const SOON: time::Duration = time::Duration::days(7);

/// The CAs whose certificates count, and what they have revoked.
pub(crate) struct Authorities {
    issuers: Arc<Issuers>,
    lists: Vec<LiveFile<Lists>>,
}

/// What one file of revoked certificates holds.
type Lists = Vec<Crl>;

/// Why a certificate does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRejection {
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
    /// There are lists of its CA, but none that is up to date.
    OutOfDate,
    /// Its extendedKeyUsage lacks clientAuth.
    Purpose,
    /// It is of X.509 version 1.
    Version,
    /// It cannot be read, or something in it is not understood.
    Unusable,
    /// Too many certificates came with it, or too many ways lead through them.
    Chain,
    /// It names nobody where `tls.client.user_from` looks.
    Nameless,
    /// Its name cannot be a user's: there are several, it holds a colon or what cannot be seen, or is too long.
    Name,
}

impl CertificateRejection {
    /// A sentence for the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Expired => "the client certificate has expired",
            Self::NotYetValid => "the client certificate is not valid yet",
            Self::Stranger => "the client certificate is from no CA of tls.client.ca",
            Self::IssuerExpired => "the CA of the client certificate is not valid now",
            Self::Revoked => "the client certificate is revoked",
            Self::OutOfDate => "the list of revoked certificates of its CA is out of date",
            Self::Purpose => "the certificate is not for client authentication (extendedKeyUsage)",
            Self::Version => "the client certificate is of X.509 version 1; issue it with extensions",
            Self::Unusable => "the client certificate cannot be used",
            Self::Chain => "too many certificates came with that of the client",
            Self::Nameless => "the client certificate names no user where tls.client.user_from looks",
            Self::Name => "the name in the client certificate cannot be that of a user",
        }
    }
}

/// What a client has shown in its handshake.
pub(crate) struct PresentedCertificate {
    /// Its own certificate first; nothing when there are too many.
    chain: Option<Vec<CertificateDer<'static>>>,
    /// What its own certificate says; nothing when that cannot be read.
    leaf: Option<Facts>,
    judged: RefCell<Option<Judged>>,
}

/// A judgement, and what it rests on.
struct Judged {
    at: Instant,
    issuers: Arc<Issuers>,
    lists: Vec<Arc<Lists>>,
    verdict: Result<User, CertificateRejection>,
}

impl PresentedCertificate {
    /// `chain` as the client sent it; nothing when it sent none.
    pub(crate) fn new(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let leaf = Facts::read(chain.first()?);
        let chain = (chain.len() <= LONGEST).then(|| chain.to_vec());
        Some(Self { chain, leaf, judged: RefCell::default() })
    }

    /// What the client's certificate calls itself, whether true or not; printable.
    pub(crate) fn label(&self) -> &str {
        self.leaf.as_ref().map_or("unreadable", |leaf| &leaf.label)
    }

    fn judge(&self, issuers: &Issuers, lists: &[Arc<Lists>]) -> Result<User, CertificateRejection> {
        let leaf = self.leaf.as_ref().ok_or(CertificateRejection::Unusable)?;
        let chain = self.chain.as_ref().ok_or(CertificateRejection::Chain)?;
        issuers.judge(chain, leaf, lists, OffsetDateTime::now_utc())
    }
}

impl Judged {
    /// Whether it still holds, with these issuers and lists. What does not change with time holds for good: looking for a
    /// way from many certificates to a CA takes long, and a stranger may send the same ones again and again.
    fn holds(&self, issuers: &Arc<Issuers>, lists: &[Arc<Lists>]) -> bool {
        let same_lists = self.lists.len() == lists.len()
            && zip(&self.lists, lists).all(|(known, now)| Arc::ptr_eq(known, now));
        let by_time = !matches!(
            self.verdict,
            Err(CertificateRejection::Stranger
                | CertificateRejection::Chain
                | CertificateRejection::Unusable
                | CertificateRejection::Revoked)
        );
        Arc::ptr_eq(&self.issuers, issuers) && same_lists && !(by_time && self.at.elapsed() >= FRESH)
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
            let (of, first) = (issuers.clone(), OnceLock::new());
            let parse = move |path: &Path, bytes: &[u8]| {
                let lists = of.lists(path, bytes).map_err(|problem| vec![problem])?;
                let named = of.named(&lists);
                match first.get_or_init(|| named.clone()).difference(&named).next() {
                    None => Ok(lists),
                    Some(missing) => {
                        let message = format!(
                            "does not hold the list of {missing} any more; put it back, or reload (SIGHUP) if it is to be gone"
                        );
                        Err(vec![Problem::at(path, message)])
                    }
                }
            };
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
    /// once a second a look for the way to a CA.
    pub(crate) fn user(&self, shown: &PresentedCertificate) -> Result<User, CertificateRejection> {
        let lists: Vec<_> = self.lists.iter().map(LiveFile::current).collect();
        let mut judged = shown.judged.borrow_mut();
        if let Some(known) = judged.as_ref().filter(|known| known.holds(&self.issuers, &lists)) {
            return known.verdict.clone();
        }
        let verdict = shown.judge(&self.issuers, &lists);
        let issuers = self.issuers.clone();
        *judged = Some(Judged { at: Instant::now(), issuers, lists, verdict: verdict.clone() });
        verdict
    }

    /// What asks for certificates in a handshake, with the names of the CAs.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Asking::new(self.issuers.facts.iter().map(|facts| facts.subject.clone())))
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
                    doubts.push(Problem::at(file.path(), message));
                } else if next - now < SOON {
                    let message = format!(
                        "this list of revoked certificates ends on {}, and with it access by certificate; {renew}",
                        date(next)
                    );
                    doubts.push(Problem::at(file.path(), message));
                }
            }
        }
        let listed = |facts: &Facts| {
            self.lists.iter().any(|file| file.current().iter().any(|list| is_of(list, facts)))
        };
        for facts in self.issuers.facts.iter().filter(|facts| !self.lists.is_empty() && !listed(facts)) {
            let message = format!(
                "no file of tls.client.crl is of {}: none of its certificates is revoked",
                facts.label
            );
            doubts.push(Problem::at(ca, message));
        }
        doubts
    }
}

impl From<Error> for CertificateRejection {
    fn from(error: Error) -> Self {
        match error {
            Error::CertExpired { .. } => Self::Expired,
            Error::CertNotValidYet { .. } => Self::NotYetValid,
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Self::Stranger,
            Error::RequiredEkuNotFoundContext(_) => Self::Purpose,
            Error::UnsupportedCertVersion => Self::Version,
            Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded => Self::Chain,
            error => {
                tracing::debug!(%error, "a client certificate cannot be used");
                Self::Unusable
            }
        }
    }
}

#[cfg(test)]
mod tests;
