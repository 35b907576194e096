//! The state on the disk. Every file is replaced atomically, so that the next process can continue
//! after this one was killed.

mod records;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

pub(super) use self::records::{AccountRecord, OrderRecord, Renewal};
use super::error::IssuanceError;
use super::lease::{Lease, Record};
use crate::config::Acme;
use crate::disk::{self, Staged};
use crate::problem::Problem;
use crate::secret::Secret;
use crate::tls::Offer;

const ACCOUNT: &str = "account.json";
const ORDER: &str = "order.json";
const RENEWAL: &str = "renewal.json";
/// As in [`Acme::files`].
const CERTIFICATE: &str = "certificate.pem";
const LOCK: &str = "lock";

/// The folder `acme.state`. With a lease, what is written goes to the engine first, and only while
/// the lease lasts; see [`Lease::write`].
pub(super) struct Store {
    folder: PathBuf,
    /// Locks the folder while it is open.
    lock: OnceCell<File>,
    lease: Option<Rc<Lease>>,
}

/// The accounts by the URL of their directory, so that an operator who tries another directory can
/// return to the first account.
type Accounts = BTreeMap<String, AccountRecord>;

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lock: OnceCell::new(), lease: None }
    }

    /// A folder whose records replicas share.
    pub(super) fn shared(folder: &Path, lease: Rc<Lease>) -> Self {
        Self { lease: Some(lease), ..Self::new(folder) }
    }

    /// Returns the problem if the folder cannot be written to.
    pub(super) fn write_obstacle(&self) -> Option<Problem> {
        let nearest =
            self.folder.ancestors().find(|folder| !folder.as_os_str().is_empty() && folder.exists());
        let folder = nearest.unwrap_or(Path::new("."));
        let usable = folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        (!usable).then(|| {
            let message = format!(
                "acme.state: certificates cannot be stored here, because {} is not a folder that the user of tidegate \
                 may write to; give it to that user, or name another folder",
                folder.display()
            );
            Problem::at(&self.folder, message)
        })
    }

    /// Creates the folder if it is missing, locks it, and records that an attempt is running. Until
    /// its result is saved, the attempt is recorded as the last of `failures` consecutive failures.
    /// Success proves that the folder is writable.
    pub(super) async fn begin(&self, acme: &Acme, failures: u32) -> Result<(), IssuanceError> {
        self.prepare()?;
        self.save(Record::Renewal, &Renewal::in_progress(acme, failures)).await
    }

    fn prepare(&self) -> Result<(), IssuanceError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| write_error(&self.folder, &error))?;
        self.lock()
    }

    /// Lets every replica give this answer to the directory.
    pub(super) async fn answer(&self, offer: &Offer) {
        if let Some(lease) = &self.lease {
            lease.answer(offer).await;
        }
    }

    /// The record in the folder as replicas share it, if it is about this certificate.
    pub(super) fn own(&self, acme: &Acme, record: Record) -> Result<Option<Secret>, IssuanceError> {
        let text = match record {
            Record::Account => self.account(acme)?.map(|account| json(&account)),
            Record::Order => self.order()?.filter(|order| order.matches(acme)).map(|order| json(&order)),
            Record::Renewal => {
                self.renewal().filter(|renewal| renewal.matches(acme)).map(|renewal| json(&renewal))
            }
            Record::Certificate => {
                let read = disk::read(&acme.files().certificate, disk::SMALL);
                read.ok().map(|content| Ok(Secret::new(content.bytes)))
            }
        };
        text.transpose().map_err(|error| write_error(&self.folder, &error))
    }

    /// Writes a record that another replica has shared, or removes it.
    pub(super) async fn copy(
        &self,
        acme: &Acme,
        record: Record,
        content: Option<Secret>,
    ) -> Result<(), IssuanceError> {
        self.prepare()?;
        let content = match (record, content) {
            (Record::Order, None) => {
                self.remove(ORDER);
                return Ok(());
            }
            (_, None) => return Ok(()),
            (Record::Account, Some(content)) => {
                let mut accounts = self.accounts()?;
                let account = serde_json::from_slice(content.expose());
                accounts.insert(
                    acme.directory.clone(),
                    account.map_err(|error| write_error(&self.folder, &error.into()))?,
                );
                json(&accounts).map_err(|error| write_error(&self.folder, &error))?
            }
            (_, Some(content)) => content,
        };
        write(self.folder.join(file(record)), content).await
    }

    pub(super) fn account(&self, acme: &Acme) -> Result<Option<AccountRecord>, IssuanceError> {
        Ok(self.accounts()?.remove(&acme.directory))
    }

    pub(super) fn order(&self) -> Result<Option<OrderRecord>, IssuanceError> {
        self.read(ORDER)
    }

    /// Returns the stored renewal. One that cannot be read is treated as missing: it creates
    /// nothing at the directory.
    pub(super) fn renewal(&self) -> Option<Renewal> {
        self.read(RENEWAL).unwrap_or_else(|failure| {
            tracing::warn!("{}", failure.message);
            None
        })
    }

    pub(super) fn account_file(&self) -> PathBuf {
        self.folder.join(ACCOUNT)
    }

    pub(super) async fn save_account(
        &self,
        acme: &Acme,
        account: AccountRecord,
    ) -> Result<(), IssuanceError> {
        let path = self.account_file();
        let text = json(&account).map_err(|error| write_error(&path, &error))?;
        self.share(Record::Account, Some(&text)).await;
        let mut accounts = self.accounts()?;
        accounts.insert(acme.directory.clone(), account);
        write(path, json(&accounts).map_err(|error| write_error(&self.folder, &error))?).await
    }

    pub(super) async fn save_order(&self, order: &OrderRecord) -> Result<(), IssuanceError> {
        self.save(Record::Order, order).await
    }

    /// Saves the renewal. An error is only logged, since the caller keeps the renewal in memory.
    /// Writes nothing to a folder that another process has locked.
    pub(super) async fn save_renewal(&self, renewal: &Renewal) {
        if self.lock().is_err() {
            return;
        }
        if let Err(failure) = self.save(Record::Renewal, renewal).await {
            tracing::error!("{}", failure.message);
        }
    }

    /// Replaces the certificate and its key.
    pub(super) async fn install(&self, pem: Secret) -> Result<(), IssuanceError> {
        self.share(Record::Certificate, Some(&pem)).await;
        write(self.folder.join(CERTIFICATE), pem).await
    }

    /// Removes the account of this directory and the order.
    pub(super) async fn forget_account(&self, acme: &Acme) -> Result<(), IssuanceError> {
        let mut accounts = self.accounts()?;
        accounts.remove(&acme.directory);
        self.forget_order().await;
        self.share(Record::Account, None).await;
        let path = self.account_file();
        write(path, json(&accounts).map_err(|error| write_error(&self.folder, &error))?).await
    }

    pub(super) async fn forget_order(&self) {
        self.share(Record::Order, None).await;
        self.remove(ORDER);
    }

    /// Never returns once the lease is lost.
    async fn share(&self, record: Record, content: Option<&Secret>) {
        if let Some(lease) = &self.lease {
            lease.write(record, content).await;
        }
    }

    fn accounts(&self) -> Result<Accounts, IssuanceError> {
        Ok(self.read(ACCOUNT)?.unwrap_or_default())
    }

    fn lock(&self) -> Result<(), IssuanceError> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        let path = self.folder.join(LOCK);
        let opened = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|error| write_error(&path, &error))?;
        if let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(IssuanceError::new(format!(
                "another tidegate uses {}; give each one a separate folder acme.state",
                self.folder.display()
            )));
        }
        // Some file systems, such as some NFS, have no locks. Then the folder is not locked.
        _ = self.lock.set(file);
        Ok(())
    }

    /// Returns `None` if the file is missing or cannot be parsed. A file that cannot be read is an
    /// error, because replacing it could lose an account.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, IssuanceError> {
        let path = self.folder.join(name);
        let content = match disk::read(&path, disk::SMALL) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = format!(
                    "{} cannot be read: {error}; the user of tidegate must be able to",
                    path.display()
                );
                return Err(IssuanceError::new(message));
            }
            Ok(content) => content,
        };
        match serde_json::from_slice(&content.bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                tracing::warn!(%error, "{} cannot be parsed and will be replaced", path.display());
                Ok(None)
            }
        }
    }

    async fn save<T: Serialize>(&self, record: Record, content: &T) -> Result<(), IssuanceError> {
        let path = self.folder.join(file(record));
        let text = json(content).map_err(|error| write_error(&path, &error))?;
        self.share(record, Some(&text)).await;
        write(path, text).await
    }

    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
            _ => {}
        }
    }
}

fn file(record: Record) -> &'static str {
    match record {
        Record::Account => ACCOUNT,
        Record::Order => ORDER,
        Record::Renewal => RENEWAL,
        Record::Certificate => CERTIFICATE,
    }
}

fn json<T: Serialize>(content: &T) -> io::Result<Secret> {
    Ok(Secret::new(serde_json::to_vec_pretty(content)?))
}

/// Writes on another thread: a sync may take long, and this thread accepts connections.
async fn write(path: PathBuf, content: Secret) -> Result<(), IssuanceError> {
    let target = path.clone();
    let written = spawn_blocking(move || Staged::secret(&path, &content)?.commit()).await;
    written.map_err(io::Error::other).flatten().map_err(|error| write_error(&target, &error))
}

fn write_error(path: &Path, error: &io::Error) -> IssuanceError {
    IssuanceError::new(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;
