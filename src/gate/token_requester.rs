//! Who asks for a token: by password, by identity token, by certificate, or anonymously.

use super::context::RequestContext;
use super::decide::NO_CREDENTIALS;
use super::identity::{is_empty, needs_both};
use super::password::LoggedIn;
use super::refusal::Refusal;
use crate::access::Identity;
use crate::header::credentials::Credentials;
use crate::metrics::Grant;
use crate::registry::grant::Proof;
use crate::user::User;

impl RequestContext<'_> {
    /// Who asks for a token. `certificate_user` is the user of the client's certificate. Whether
    /// the request `is_login` is for the audit log alone.
    pub(super) async fn token_requester(
        &self,
        proof: Proof,
        is_login: bool,
        credentials: Credentials,
        certificate_user: Option<User>,
    ) -> Result<LoggedIn, Refusal> {
        // With `auth.mode = "token"` there are always sources of users.
        let Some(sources) = &self.state.sources else {
            return Ok(LoggedIn::once(Identity::Anonymous, Grant::Anonymous));
        };
        let challenge = self.state.challenge.clone();
        match (proof, credentials) {
            (Proof::Identity(token), _) => {
                let identity = self.returning(sources, &token, challenge).await?;
                Ok(LoggedIn::once(identity, Grant::Refresh))
            }
            (Proof::Password(basic), _) | (Proof::Header, Credentials::Basic(basic)) if !is_empty(&basic) => {
                self.log_in_with(sources, &basic, is_login, challenge).await
            }
            (Proof::Header, Credentials::Malformed | Credentials::Bearer(_)) => {
                Err(self.refuse("malformed credentials", challenge))
            }
            _ if needs_both(self.state) => Err(self.refuse(NO_CREDENTIALS, challenge)),
            _ => {
                let grant = if certificate_user.is_some() { Grant::Certificate } else { Grant::Anonymous };
                Ok(LoggedIn::once(certificate_user.into(), grant))
            }
        }
    }
}
