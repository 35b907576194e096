//! The account with a directory.

use instant_acme::{Account, Error, NewAccount};

use super::binding;
use super::directory::{Directory, retry_bad_nonce};
use super::error::{IssuanceError, kind};
use super::store::{AccountRecord, Store};
use crate::config::Acme;
use crate::problem::Problems;

const UNKNOWN: &str = "accountDoesNotExist";
const BINDING_REQUIRED: &str = "externalAccountRequired";

/// Opens the stored account for this directory and updates its contact. Without one, registers and
/// stores a new account.
pub(super) async fn open(
    acme: &Acme,
    store: &Store,
    directory: &Directory,
) -> Result<Account, IssuanceError> {
    let builder = || Account::builder_with_http(Box::new(directory.clone()));
    let contact = contact(acme);
    let kept = store.account(acme)?.filter(|kept| !kept.is_bound_elsewhere(acme));
    let Some(kept) = kept else {
        let binding = acme.eab.as_ref().map(binding::read).transpose().map_err(Problems::from)?;
        let wanted =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let create = async || builder().create(&wanted, acme.directory.clone(), binding.as_ref()).await;
        let (account, credentials) = retry_bad_nonce(create).await?;
        store.save_account(acme, AccountRecord::new(acme, credentials)).await?;
        tracing::info!(directory = acme.directory, account = account.id(), "account registered");
        return Ok(account);
    };
    let outdated = kept.contact != acme.contact;
    let account = builder().from_credentials(kept.credentials).await?;
    if outdated {
        update_contact(acme, store, &account).await?;
    }
    Ok(account)
}

/// Updates the account's contact. A contact that the directory rejects is only a warning, because
/// certificates do not depend on it.
async fn update_contact(acme: &Acme, store: &Store, account: &Account) -> Result<(), IssuanceError> {
    let contact = contact(acme);
    match retry_bad_nonce(async || account.update_contacts(&contact).await).await {
        Err(Error::Api(problem)) if kind(&problem) != Some(UNKNOWN) => {
            let error = IssuanceError::from(Error::Api(problem)).message;
            tracing::warn!(
                error,
                "the account keeps its old contact: {} rejects acme.contact",
                acme.directory
            );
            return Ok(());
        }
        updated => updated?,
    }
    // The library has consumed the credentials, so they are read again.
    match store.account(acme)? {
        Some(kept) => store.save_account(acme, AccountRecord::new(acme, kept.credentials)).await,
        None => Ok(()),
    }
}

fn contact(acme: &Acme) -> Vec<&str> {
    acme.contact.iter().map(String::as_str).collect()
}

/// Adds advice to a failure that concerns the account. Forgets an account that the directory does
/// not know, so that the next attempt registers a new one.
pub(super) async fn review(acme: &Acme, store: &Store, failure: IssuanceError) -> IssuanceError {
    if failure.is(UNKNOWN) {
        return match store.forget_account(acme).await {
            Ok(()) => failure.with_advice("the next attempt registers a new account"),
            Err(denied) => denied,
        };
    }
    if failure.is(BINDING_REQUIRED) && acme.eab.is_none() {
        let advice = "get a key ID and an HMAC key from the owner of the directory, and write acme.eab_kid and \
                      acme.eab_key";
        return failure.with_advice(advice);
    }
    if failure.is("unauthorized") {
        let file = store.account_file();
        let advice =
            format!("if the account is deactivated, remove {} to register a new one", file.display());
        return failure.with_advice(&advice);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::store::fixtures::{acme, credentials};
    use crate::pki::fixtures::Folder;

    fn refusal(kind: &str) -> IssuanceError {
        let problem = format!(r#"{{"type": "urn:ietf:params:acme:error:{kind}", "detail": "no"}}"#);
        IssuanceError::from(Error::Api(serde_json::from_str(&problem).unwrap()))
    }

    #[tokio::test]
    async fn only_an_account_that_the_directory_does_not_know_is_forgotten() {
        let folder = Folder::new();
        let acme = acme(&folder);
        let store = Store::new(&acme.state);
        store.begin(&acme, 1).await.unwrap();
        store.save_account(&acme, AccountRecord::new(&acme, credentials())).await.unwrap();

        let failure = review(&acme, &store, refusal("unauthorized")).await;
        assert!(failure.message.contains("deep/acme/account.json"), "{failure:?}");
        let failure = review(&acme, &store, refusal("rateLimited")).await;
        assert_eq!(failure.message, refusal("rateLimited").message);
        assert!(store.account(&acme).unwrap().is_some());

        let failure = review(&acme, &store, refusal(UNKNOWN)).await;
        assert!(failure.message.ends_with("registers a new account"), "{failure:?}");
        assert!(store.account(&acme).unwrap().is_none());
    }
}
