//! One order, from where it stands to the certificate (RFC 8555 section 7.4).

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::directory::retry_bad_nonce;
use super::error::{IssuanceError, explain, kind};
use super::store::{OrderRecord, Store};
use crate::config::{Acme, AcmeChallenge};
use crate::secret::Secret;
use crate::tls::{Challenges, Offer};

/// How long a directory may take to look at our names, or to sign; what it has then is waited for in the next attempt.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(3));

/// Goes on with the order that is kept if it is still good for these settings, else begins one, and takes it to its end:
/// the chain and its key, PEM. An order that cannot succeed any more is forgotten.
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
    match advance(acme, &mut order, &key, challenges).await {
        Ok(chain) => Ok(Secret::new([chain.as_bytes(), b"\n", key.expose()].concat())),
        Err(error) if order.state().status == OrderStatus::Invalid => {
            store.forget_order();
            // The order's own error, of the type `unauthorized` say, is about a name and not about the account.
            Err(IssuanceError::new(validation_errors(&mut order).await.unwrap_or(error.message)))
        }
        Err(error) => Err(error),
    }
}

/// The order on the disk, with its key.
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
                store.forget_order();
                return Ok(None);
            }
            tracing::info!(order = url, "going on with the order");
            Ok(Some((order, key)))
        }
        // It has expired, or belongs to an account of before.
        Err(Error::Api(problem)) if !is_temporary(&problem) => {
            store.forget_order();
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a problem is the directory's, and of the moment.
fn is_temporary(problem: &Problem) -> bool {
    let busy = problem.status.is_some_and(|status| status == 429 || status >= 500);
    busy || matches!(kind(problem), Some("badNonce" | "rateLimited" | "serverInternal"))
}

async fn begin(acme: &Acme, store: &Store, account: &Account) -> Result<(Order, Secret), IssuanceError> {
    let key =
        KeyPair::generate().map_err(|error| IssuanceError::new(format!("no key can be made: {error}")))?;
    let key = Secret::new(key.serialize_pem().into_bytes());
    let names: Vec<Identifier> = acme.names.iter().cloned().map(Identifier::Dns).collect();
    let order = retry_bad_nonce(async || account.new_order(&NewOrder::new(&names)).await).await?;
    store.save_order(&OrderRecord::new(acme, order.url(), key.clone())).await?;
    tracing::info!(order = order.url(), names = acme.names.join(", "), "a new order");
    Ok((order, key))
}

async fn advance(
    acme: &Acme,
    order: &mut Order,
    key: &Secret,
    challenges: &Arc<Challenges>,
) -> Result<String, IssuanceError> {
    if order.state().status == OrderStatus::Pending {
        let _offers = offer_answers(acme, order, challenges).await?;
        retry_bad_nonce(async || order.poll_ready(&POLLS).await).await?;
    }
    if order.state().status == OrderStatus::Ready {
        let csr = certificate_request(acme, key)
            .map_err(|error| IssuanceError::new(format!("no request can be made: {error}")))?;
        retry_bad_nonce(async || order.finalize_csr(&csr).await).await?;
    }
    match order.state().status {
        OrderStatus::Processing | OrderStatus::Valid => {
            Ok(retry_bad_nonce(async || order.poll_certificate(&POLLS).await).await?)
        }
        status => Err(IssuanceError::new(format!("the order is {status:?}"))),
    }
}

/// Offers an answer for each name that is not validated yet, and asks the directory to validate it.
async fn offer_answers(
    acme: &Acme,
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
        offers.push(match acme.challenge {
            AcmeChallenge::TlsAlpn01 => challenges
                .offer_handshake(&name, proof.digest().as_ref())
                .map_err(|error| IssuanceError::new(format!("{name}: {error}")))?,
            AcmeChallenge::Http01 => challenges.offer_text(&challenge.token, proof.as_str()),
        });
        if challenge.status == ChallengeStatus::Pending {
            retry_bad_nonce(async || challenge.set_ready().await).await?;
        }
    }
    tracing::info!(names = acme.names.join(", "), "ready for validation");
    Ok(offers)
}

/// Fetches the authorizations of the order that it does not know yet.
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

/// What the directory found at each name that it could not prove.
async fn validation_errors(order: &mut Order) -> Option<String> {
    // A poll of the order has it forget its authorizations, so this tells what they are now.
    retry_bad_nonce(async || fetch_authorizations(order).await).await.ok()?;
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(errors.map(|error| format!("{name}: {}", explain(error))));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
