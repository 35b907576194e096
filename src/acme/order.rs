//! Processing one order (RFC 8555 section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::certificate;
use super::directory::retry_bad_nonce;
use super::error::{IssuanceError, explain, kind};
use super::store::{OrderRecord, Store};
use crate::config::{Acme, AcmeChallenge};
use crate::secret::Secret;
use crate::tls::{Challenges, Offer};

/// How long to wait for the directory to validate the names, and again for it to sign. The next
/// attempt resumes an order that takes longer.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(3));

/// Resumes the stored order if it fits these settings, or creates one, and completes it. Returns
/// the chain and its key as PEM. Forgets an order that can no longer succeed.
pub(super) async fn obtain(
    acme: &Acme,
    store: &Store,
    account: &Account,
    challenges: &Arc<Challenges>,
) -> Result<Secret, IssuanceError> {
    let (mut order, key) = match resume(acme, store, account).await? {
        Some(order) => order,
        None => begin(acme, store, account).await?,
    };
    match advance(acme, store, &mut order, &key, challenges).await {
        Ok(chain) => Ok(Secret::new([chain.as_bytes(), b"\n", key.expose()].concat())),
        Err(error) if order.state().status == OrderStatus::Invalid => {
            store.forget_order().await;
            // The error of an order, such as `unauthorized`, concerns a name, not the account.
            Err(IssuanceError::new(validation_errors(&mut order).await.unwrap_or(error.message)))
        }
        Err(error) => Err(error),
    }
}

/// Resumes the order on the disk. Returns it with its key.
async fn resume(
    acme: &Acme,
    store: &Store,
    account: &Account,
) -> Result<Option<(Order, Secret)>, IssuanceError> {
    let Some(OrderRecord { url, key, .. }) = store.order()?.filter(|order| order.matches(acme)) else {
        return Ok(None);
    };
    match retry_bad_nonce(async || account.order(url.clone()).await).await {
        Ok(mut order) => {
            if order.state().status == OrderStatus::Invalid {
                store.forget_order().await;
                return Ok(None);
            }
            tracing::info!(order = url, "resuming the order");
            Ok(Some((order, key)))
        }
        // It has expired, or belongs to an earlier account.
        Err(Error::Api(problem)) if !is_temporary(&problem) => {
            store.forget_order().await;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether a problem is temporary and not caused by the request.
fn is_temporary(problem: &Problem) -> bool {
    let busy = problem.status.is_some_and(|status| status == 429 || status >= 500);
    busy || matches!(kind(problem), Some("badNonce" | "rateLimited" | "serverInternal"))
}

async fn begin(acme: &Acme, store: &Store, account: &Account) -> Result<(Order, Secret), IssuanceError> {
    let key = KeyPair::generate()
        .map_err(|error| IssuanceError::new(format!("a key cannot be generated: {error}")))?;
    let key = Secret::new(key.serialize_pem().into_bytes());
    if acme.profile.is_some() && account.profiles().next().is_none() {
        // It would ignore the field.
        return Err(IssuanceError::new("it offers no profiles; remove acme.profile"));
    }
    let order = create(acme, account).await.map_err(|error| {
        let failure = IssuanceError::from(error);
        if failure.is("invalidProfile") { failure.with_advice(&offered_profiles(account)) } else { failure }
    })?;
    store.save_order(&OrderRecord::new(acme, order.url(), key.clone())).await?;
    tracing::info!(order = order.url(), names = acme.names.join(", "), "order created");
    Ok((order, key))
}

/// Creates an order that replaces the certificate on the disk, if the directory knows that
/// (RFC 9773 section 5).
async fn create(acme: &Acme, account: &Account) -> Result<Order, Error> {
    let names: Vec<Identifier> = acme.names.iter().map(|name| identifier(name)).collect();
    let wanted = || {
        let order = NewOrder::new(&names);
        match &acme.profile {
            Some(profile) => order.profile(profile),
            None => order,
        }
    };
    if let Some(old) = certificate::identifier(acme) {
        let create = async || account.new_order(&wanted().replaces(old.clone())).await;
        match retry_bad_nonce(create).await {
            Err(Error::Api(problem)) if is_temporary(&problem) => return Err(Error::Api(problem)),
            // It knows no such certificate, or has replaced it, or ignores the field.
            Err(error) => tracing::debug!(%error, "the order does not replace the certificate in use"),
            created => return created,
        }
    }
    retry_bad_nonce(async || account.new_order(&wanted()).await).await
}

fn identifier(name: &str) -> Identifier {
    name.parse().map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip)
}

/// Advice for a profile that the directory does not have.
fn offered_profiles(account: &Account) -> String {
    let mut names: Vec<_> = account.profiles().map(|profile| profile.name).collect();
    names.sort_unstable();
    format!("acme.profile can be {}", names.join(", "))
}

async fn advance(
    acme: &Acme,
    store: &Store,
    order: &mut Order,
    key: &Secret,
    challenges: &Arc<Challenges>,
) -> Result<String, IssuanceError> {
    if order.state().status == OrderStatus::Pending {
        let _offers = offer_answers(acme, store, order, challenges).await?;
        retry_bad_nonce(async || order.poll_ready(&POLLS).await).await?;
    }
    if order.state().status == OrderStatus::Ready {
        let csr = certificate_request(acme, key).map_err(|error| {
            IssuanceError::new(format!("a certificate request cannot be created: {error}"))
        })?;
        retry_bad_nonce(async || order.finalize_csr(&csr).await).await?;
    }
    match order.state().status {
        OrderStatus::Processing | OrderStatus::Valid => {
            Ok(retry_bad_nonce(async || order.poll_certificate(&POLLS).await).await?)
        }
        status => Err(IssuanceError::new(format!("the order has the status {status:?}"))),
    }
}

/// Offers an answer for each name that is not validated yet, and requests its validation.
async fn offer_answers(
    acme: &Acme,
    store: &Store,
    order: &mut Order,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Offer>, IssuanceError> {
    retry_bad_nonce(async || fetch_authorizations(order).await).await?;
    let mut offers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let name = authorization.identifier().to_string();
        let kind = match acme.challenge {
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            AcmeChallenge::Http01 => ChallengeType::Http01,
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(IssuanceError::new(format!(
                "{name}: the directory does not offer the challenge acme.challenge"
            )));
        };
        let proof = challenge.key_authorization();
        let offer = match acme.challenge {
            AcmeChallenge::TlsAlpn01 => challenges
                .offer_handshake(&name, proof.digest().as_ref())
                .map_err(|error| IssuanceError::new(format!("{name}: {error}")))?,
            AcmeChallenge::Http01 => challenges.offer_text(&challenge.token, proof.as_str()),
        };
        // Before the directory looks, which may be at any replica.
        store.answer(&offer).await;
        offers.push(offer);
        if challenge.status == ChallengeStatus::Pending {
            retry_bad_nonce(async || challenge.set_ready().await).await?;
        }
    }
    tracing::info!(names = acme.names.join(", "), "ready for validation");
    Ok(offers)
}

/// Fetches the authorizations that `order` has not cached.
async fn fetch_authorizations(order: &mut Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}

fn certificate_request(acme: &Acme, key: &Secret) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let key = KeyPair::from_pem(str::from_utf8(key.expose())?)?;
    let mut params = CertificateParams::new(acme.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key)?.der().to_vec())
}

/// Returns the validation errors of all names, if there are any.
async fn validation_errors(order: &mut Order) -> Option<String> {
    // Polling cleared the cached authorizations, so this fetches their current status.
    retry_bad_nonce(async || fetch_authorizations(order).await).await.ok()?;
    let mut messages = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        messages.extend(errors.map(|error| format!("{name}: {}", explain(error))));
    }
    (!messages.is_empty()).then(|| messages.join("; "))
}
