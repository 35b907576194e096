//! Who sent a request: by certificate, by password, by both, or by token.

use std::time::SystemTime;

use http::HeaderMap;

use super::context::RequestContext;
use super::decide::NO_CREDENTIALS;
use super::proof::Proof;
use super::refusal::{NO_CERTIFICATE, Refusal};
use crate::access::{Caller, Identity};
use crate::auth::{Htpasswd, Sources};
use crate::config::{AuthMode, ClientCertificate, Verify};
use crate::header::challenge::BearerError;
use crate::header::credentials::{self, Basic, Credentials};
use crate::log::audit::Authentication;
use crate::metrics::{Login, LoginResult};
use crate::registry::target::Operation;
use crate::secret::Secret;
use crate::state::State;
use crate::tls::CertificateRejection;
use crate::token::{Kind, Tokens};
use crate::user::User;

impl RequestContext<'_> {
    /// The user that the client's certificate names; none where no certificate is needed and none
    /// was presented.
    ///
    /// # Errors
    /// A certificate is needed, or the one presented is not valid.
    pub(super) fn certificate_user(&self) -> Result<Option<User>, Refusal> {
        let (state, peer) = (self.state, self.peer);
        let Some(auth) = state.tls.client.as_ref().filter(|auth| auth.covers(self.authority.host())) else {
            return Ok(None);
        };
        if !peer.asked {
            return Err(Refusal::Unasked);
        }
        let refused = |reason| Refusal::Certificate(state.config.tls.client.reject_status, reason);
        let Some(shown) = &peer.shown else {
            let is_needed = state.config.tls.client.verify == Verify::Required || needs_both(state);
            return if is_needed { Err(refused(NO_CERTIFICATE)) } else { Ok(None) };
        };
        self.log.certificate(shown);
        let user = auth.authorities.user(shown);
        self.count_login(Login::Certificate, &user);
        user.map(Some).map_err(|rejection| match rejection {
            CertificateRejection::Unread => Refusal::Unread,
            rejection => {
                if rejection == CertificateRejection::Revoked {
                    self.log.trail().revoked();
                }
                refused(rejection.reason())
            }
        })
    }

    /// Who sent a request with these `headers`. `certificate_user` is the user of the client's
    /// certificate. A password that comes with a certificate is checked too: otherwise `docker
    /// login` would accept any.
    ///
    /// # Errors
    /// The response is the same for a wrong password and an unknown user.
    pub(super) async fn identify(
        &self,
        certificate_user: Option<User>,
        headers: &HeaderMap,
    ) -> Result<Caller, Refusal> {
        // What `docker login` asks for.
        let is_login = self.target.operation == Operation::Ping;
        let by_name = |identity| Caller { identity, token: None };
        let by_certificate = |user: Option<User>| {
            if user.is_some() {
                self.log.vouched("certificate");
                self.log.trail().authenticated(Authentication::Certificate);
            }
            Ok(by_name(user.into()))
        };
        let sources = self.state.sources.as_ref();
        if !is_login
            && let Some(sources) = sources
            && let Some(identity) = self.proven(sources, headers)?
        {
            return Ok(by_name(identity));
        }
        let credentials = credentials::read(headers)?;
        let Some(sources) = sources else { return by_certificate(certificate_user) };
        match (credentials, certificate_user) {
            (Credentials::Bearer(token), _) => self.bearer(sources, &token, is_login).await,
            (Credentials::Basic(basic), _) if is_empty(&basic) && allows_anonymous(self.state) => {
                Ok(by_name(Identity::Anonymous))
            }
            (Credentials::Basic(basic), _) => {
                let proven = self.log_in_with(sources, &basic, is_login, self.challenge(None)).await?;
                if let Some(remembered) = proven.remembered {
                    let proof = Proof::new(headers, self.client.address, self.state, remembered);
                    self.peer.proof.replace(proof.map(Box::new));
                }
                Ok(by_name(proven.identity))
            }
            (Credentials::Absent, certificate_user @ Some(_)) if !needs_both(self.state) => {
                by_certificate(certificate_user)
            }
            (Credentials::Absent, _) if allows_anonymous(self.state) => Ok(by_name(Identity::Anonymous)),
            (Credentials::Absent, _) => Err(self.unauthorized(NO_CREDENTIALS)),
            (Credentials::Malformed, _) => Err(self.unauthorized("malformed credentials")),
        }
    }

    /// Counts a proof that was judged.
    pub(super) fn count_login<T, E>(&self, login: Login, outcome: &Result<T, E>) {
        let result = if outcome.is_ok() { LoginResult::Ok } else { LoginResult::Wrong };
        self.flow.counts().logins[login][result].add(1);
    }

    /// Logs the user whose login failed, if there is such a user: any other name may be a password.
    pub(super) fn log_claimed(&self, user: &[u8], users: &Htpasswd) {
        if users.person(user).is_some() {
            self.log.claimed(user);
        }
    }

    /// A token of ours, or of an issuer: those are accepted as they are, with all rights of their
    /// user, for clients that keep no login.
    async fn bearer(&self, sources: &Sources, token: &Secret, is_login: bool) -> Result<Caller, Refusal> {
        // First, because nearly all are ours, and remembered.
        let own = |tokens: &Tokens| tokens.verify(token, &self.service(tokens), SystemTime::now());
        let own = self.state.tokens.as_ref().map(own);
        let is_own = matches!(own, Some(Ok(_)));
        if !is_own && sources.issuers.take(token) && self.kind_of(token).is_none() {
            let proven = Box::pin(self.id_token(sources, token, is_login, self.challenge(None))).await?;
            return Ok(Caller { identity: proven.identity, token: None });
        }
        let Some(verified) = own else { return Err(self.unauthorized("malformed credentials")) };
        self.count_login(Login::Token, &verified);
        let verified = verified.map_err(|invalid| match self.kind_of(token) {
            Some(Kind::Identity) => {
                let error = (BearerError::InvalidToken, "the token is not for requests");
                self.misplaced_login(self.challenge(Some(error)))
            }
            _ => self.invalid(invalid),
        })?;
        self.log.vouched("token");
        self.log.trail().authenticated(Authentication::Token);
        Ok(Caller { identity: verified.identity.clone(), token: Some(verified.scopes.clone()) })
    }
}

/// Whether a user has to show a certificate and a password.
pub(super) fn needs_both(state: &State) -> bool {
    state.config.auth.client_certificate == ClientCertificate::Both
}

/// Whether a request without credentials is accepted as an anonymous one. Not with tokens, which
/// anonymous clients get too: clients choose one scheme for all their requests. Nor where a
/// password is needed beside the certificate.
fn allows_anonymous(state: &State) -> bool {
    state.config.auth.mode == AuthMode::Basic && !needs_both(state)
}

/// Whether there is neither user nor password: some clients send that when they have none.
pub(super) fn is_empty(basic: &Basic) -> bool {
    basic.user.is_empty() && basic.password.expose().is_empty()
}
