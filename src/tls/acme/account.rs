//! Our account with a directory.

use instant_acme::{Account, NewAccount};

use super::directory::{Directory, again};
use super::failure::Failure;
use super::store::{KeptAccount, Store};
use crate::config::Acme;

/// The account that is kept for this directory, its contact brought up to date; else a new one, which is kept from
/// then on.
pub(super) async fn open(acme: &Acme, store: &Store, directory: &Directory) -> Result<Account, Failure> {
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let builder = || Account::builder_with_http(Box::new(directory.clone()));
    let Some(kept) = store.account().filter(|kept| kept.directory == acme.directory) else {
        let wanted =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let create = async || builder().create(&wanted, acme.directory.clone(), None).await;
        let (account, credentials) = again(create).await?;
        store.save_account(&KeptAccount::new(acme, credentials)).await?;
        tracing::info!(directory = acme.directory, account = account.id(), "a new account");
        return Ok(account);
    };
    let outdated = kept.contact != acme.contact;
    let account = builder().from_credentials(kept.credentials).await?;
    if outdated {
        again(async || account.update_contacts(&contact).await).await?;
        // The library takes the credentials and does not give them back.
        if let Some(kept) = store.account() {
            store.save_account(&KeptAccount::new(acme, kept.credentials)).await?;
        }
    }
    Ok(account)
}
