//! The files of `[tls]` beside the certificates.

use time::OffsetDateTime;

use super::client::Authorities;
use super::tickets::read_secret;
use crate::config::{Tls, Verify};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// What the files hold.
pub(crate) struct TlsFiles {
    /// The secret of `tls.ticket_keys`.
    pub(super) ticket_secret: Option<Secret>,
    /// The authorities of `tls.client`, with what works today and deserves a line in the log.
    pub(super) client: Option<(Authorities, Vec<Problem>)>,
}

impl TlsFiles {
    /// Reads the files at the moment `now`.
    ///
    /// # Errors
    /// Everything that is wrong with every file.
    pub(crate) fn read(tls: &Tls, now: OffsetDateTime) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let secret = tls.ticket_keys.as_deref().map(read_secret).transpose();
        let secret = secret.map_err(|problem| problems.push(problem)).ok();
        let client =
            (tls.client.verify != Verify::Off).then(|| Authorities::open(&tls.client, now)).transpose();
        let client = client.map_err(|found| problems.extend(found.0)).ok();
        match (secret, client) {
            (Some(ticket_secret), Some(client)) => Ok(Self { ticket_secret, client }),
            _ => Err(Problems(problems)),
        }
    }
}
