//! Certificates that clients present. The handshake accepts any certificate whose key the client
//! has. Its validity is judged at each request. The client thus gets a refusal that it can show,
//! and a revocation ends access on open connections too.

mod accept_any;
mod issuers;
mod path;
mod rejection;

pub(crate) use self::rejection::CertificateRejection;

use std::cell::RefCell;
use std::iter::zip;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use time::OffsetDateTime;

use self::accept_any::AcceptAny;
use self::issuers::{Issuers, Lists, is_of};
use crate::config::ClientCertificates;
use crate::live_file::{LiveFile, Unread};
use crate::pki::Facts;
use crate::pki::date;
use crate::problem::{Problem, Problems};
use crate::user::User;

/// The longest chain: the client's certificate, the six intermediates that webpki follows at most,
/// and the CA certificate, which some clients send along.
const LONGEST: usize = 8;
/// The largest chain, in bytes. Six intermediates with RSA keys of 4096 bits need 10 KiB. rustls
/// accepts 64 KiB from everyone, and to read them takes time.
const LARGEST: usize = 16 << 10;
/// How long a judgement that depends on the current time is reused.
const FRESH: Duration = Duration::from_secs(1);
/// A CRL that expires within this time causes a warning.
const SOON: time::Duration = time::Duration::days(7);

/// The CAs whose certificates are accepted, and their CRLs.
pub(crate) struct Authorities {
    issuers: Arc<Issuers>,
    lists: Vec<LiveFile<Lists>>,
}

/// The certificates that a client presented in its handshake.
pub(crate) struct PresentedCertificate {
    /// The client's own certificate first. `None` if the chain exceeds [`LONGEST`] or [`LARGEST`].
    chain: Option<Vec<CertificateDer<'static>>>,
    /// The facts of the client's own certificate. `None` if it cannot be parsed, or if there is no
    /// chain.
    leaf: Option<Facts>,
    judged: RefCell<Option<Judged>>,
}

/// A judgement, and the CAs and CRLs that it is based on.
struct Judged {
    at: Instant,
    issuers: Arc<Issuers>,
    lists: Vec<Arc<Lists>>,
    verdict: Result<User, CertificateRejection>,
}

impl PresentedCertificate {
    /// Takes the chain as the client sent it. `None` if it is empty.
    pub(crate) fn new(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let own = chain.first()?;
        let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
        let chain = (chain.len() <= LONGEST && bytes <= LARGEST).then(|| chain.to_vec());
        let leaf = chain.as_ref().and_then(|_| Facts::read(own));
        Some(Self { chain, leaf, judged: RefCell::default() })
    }

    /// The name that the client's certificate claims, whether true or not; printable.
    pub(crate) fn label(&self) -> &str {
        self.leaf.as_ref().map_or("unreadable", |leaf| &leaf.label)
    }

    fn judge(&self, issuers: &Issuers, lists: &[Arc<Lists>]) -> Result<User, CertificateRejection> {
        let chain = self.chain.as_ref().ok_or(CertificateRejection::Chain)?;
        let leaf = self.leaf.as_ref().ok_or(CertificateRejection::Unusable)?;
        issuers.judge(chain, leaf, lists, OffsetDateTime::now_utc())
    }
}

impl Judged {
    /// Whether the judgement still holds for these issuers and lists. A judgement that does not
    /// depend on the current time holds for the whole connection. Untrusted clients could otherwise
    /// cause one with every request.
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
    /// Reads the files of `settings`. The second value holds the warnings.
    ///
    /// # Errors
    /// A file is missing, cannot be read or parsed, or a CRL is not signed by its CA.
    pub(super) fn open(
        settings: &ClientCertificates,
        now: OffsetDateTime,
    ) -> Result<(Self, Vec<Problem>), Problems> {
        let (issuers, mut warnings) = Issuers::read(&settings.ca, settings.user_from, now)?;
        let issuers = Arc::new(issuers);
        let mut problems = Problems::default();
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
                            "no longer contains the CRL of {missing}; restore it, or send SIGHUP to accept its removal"
                        );
                        Err(vec![Problem::at(path, message)])
                    }
                }
            };
            let remedy = "make it with `tidegate cert ca --crl`";
            let file = LiveFile::open(path, "list of revoked certificates", remedy, Box::new(parse));
            lists.extend(problems.take(file));
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let authorities = Self { issuers, lists };
        warnings.extend(authorities.doubts(&settings.ca, now));
        Ok((authorities, warnings))
    }

    /// The user that these certificates name, if they are valid. Costs one `stat` for each list,
    /// and at most one path search per second and connection.
    pub(crate) fn user(&self, shown: &PresentedCertificate) -> Result<User, CertificateRejection> {
        let lists: Result<Vec<_>, _> = self.lists.iter().map(LiveFile::current).collect();
        let lists = lists.map_err(|Unread| CertificateRejection::Unread)?;
        let mut judged = shown.judged.borrow_mut();
        if let Some(known) = judged.as_ref().filter(|known| known.holds(&self.issuers, &lists)) {
            return known.verdict.clone();
        }
        let verdict = shown.judge(&self.issuers, &lists);
        let issuers = self.issuers.clone();
        *judged = Some(Judged { at: Instant::now(), issuers, lists, verdict: verdict.clone() });
        verdict
    }

    /// Requests certificates in a handshake, with the names of the CAs.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(AcceptAny::new(self.issuers.facts.iter().map(|facts| facts.subject.clone())))
    }

    fn doubts(&self, ca: &Path, now: OffsetDateTime) -> Vec<Problem> {
        let mut doubts = Vec::new();
        for file in &self.lists {
            for next in
                file.current().iter().flat_map(|lists| lists.iter()).filter_map(|list| list.next_update)
            {
                let renew = "renew it, with `tidegate cert ca --crl` if that made it";
                if next <= now {
                    let message = format!(
                        "this CRL expired on {}, and all certificates of its CA are refused; {renew}",
                        date(next)
                    );
                    doubts.push(Problem::at(file.path(), message));
                } else if next - now < SOON {
                    let message = format!(
                        "this CRL expires on {}, which ends all access by certificates of its CA; {renew}",
                        date(next)
                    );
                    doubts.push(Problem::at(file.path(), message));
                }
            }
        }
        let listed = |facts: &Facts| {
            self.lists
                .iter()
                .any(|file| file.current().is_ok_and(|lists| lists.iter().any(|list| is_of(list, facts))))
        };
        for facts in self.issuers.facts.iter().filter(|facts| !self.lists.is_empty() && !listed(facts)) {
            let message = format!(
                "no file of tls.client.crl holds a CRL of {}: none of its certificates is revoked",
                facts.label
            );
            doubts.push(Problem::at(ca, message));
        }
        doubts
    }
}

#[cfg(test)]
mod tests;
