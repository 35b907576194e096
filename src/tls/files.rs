//! The files that `[tls]` names beside its certificates.

use time::OffsetDateTime;

use super::client::Authorities;
use crate::config::{Tls, Verify};
use crate::pki::read_secret;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// The contents of the files.
pub(crate) struct TlsFiles {
    /// The secret of `tls.ticket_keys`.
    pub(super) ticket_secret: Option<Secret>,
    /// The authorities of `tls.client`, and the warnings about them.
    pub(super) client: Option<(Authorities, Vec<Problem>)>,
}

impl TlsFiles {
    /// Reads the files. `now` decides which certificates and CRLs have expired.
    ///
    /// # Errors
    /// All problems of all files.
    pub(crate) fn read(tls: &Tls, now: OffsetDateTime) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let secret = problems.take(tls.ticket_keys.as_deref().map(read_secret).transpose());
        let client = (tls.client.verify != Verify::Off).then(|| Authorities::open(&tls.client, now));
        let client = problems.take(client.transpose());
        match (secret, client) {
            (Some(ticket_secret), Some(client)) => Ok(Self { ticket_secret, client }),
            _ => Err(problems),
        }
    }
}
