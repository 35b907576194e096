//! The state on the disk. Every file is replaced in one step, so that a process that is killed leaves one from which
//! the next can go on.

mod records;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

pub(super) use self::records::{AccountRecord, OrderRecord, Renewal};
use super::error::IssuanceError;
use crate::config::Acme;
use crate::disk::{self, Staged};
use crate::problem::Problem;
use crate::secret::Secret;

const ACCOUNT: &str = "account.json";
const ORDER: &str = "order.json";
const RENEWAL: &str = "renewal.json";
const LOCK: &str = "lock";

/// The folder `acme.state`.
pub(super) struct Store {
    folder: PathBuf,
    /// Has the folder locked as long as it is open.
    lock: OnceCell<File>,
}

/// The accounts by the URL of their directory: who tries another one comes back to the account he had.
type Accounts = BTreeMap<String, AccountRecord>;

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lock: OnceCell::new() }
    }

    /// What keeps the folder from being written to, if anything does.
    pub(super) fn write_obstacle(&self) -> Option<Problem> {
        let there = self.folder.ancestors().find(|folder| !folder.as_os_str().is_empty() && folder.exists());
        let folder = there.unwrap_or(Path::new("."));
        let usable = folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        (!usable).then(|| {
            let message = format!(
                "acme.state: certificates cannot be kept here, because {} is no folder that the user of tidegate may \
                 write to; give it to that user, or name another folder",
                folder.display()
            );
            Problem::at(&self.folder, message)
        })
    }

    /// Makes the folder if it is not there, keeps other processes out of it from now on, and notes that an attempt is
    /// under way, which counts as the `failures`th in a row that failed until there is something better to tell. After
    /// that it is known that the folder can be written to.
    pub(super) async fn begin(&self, acme: &Acme, failures: u32) -> Result<(), IssuanceError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| write_error(&self.folder, &error))?;
        self.lock()?;
        self.save(RENEWAL, &Renewal::in_progress(acme, failures)).await
    }

    pub(super) fn account(&self, acme: &Acme) -> Result<Option<AccountRecord>, IssuanceError> {
        Ok(self.accounts()?.remove(&acme.directory))
    }

    pub(super) fn order(&self) -> Result<Option<OrderRecord>, IssuanceError> {
        self.read(ORDER)
    }

    /// One that cannot be read is as good as none: nothing is made for it at the directory.
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
        let mut accounts = self.accounts()?;
        accounts.insert(acme.directory.clone(), account);
        self.save(ACCOUNT, &accounts).await
    }

    pub(super) async fn save_order(&self, order: &OrderRecord) -> Result<(), IssuanceError> {
        self.save(ORDER, order).await
    }

    /// What cannot be written is known to this process all the same. Nothing is written in a folder that is another's.
    pub(super) async fn save_renewal(&self, renewal: &Renewal) {
        if self.lock().is_err() {
            return;
        }
        if let Err(failure) = self.save(RENEWAL, renewal).await {
            tracing::error!("{}", failure.message);
        }
    }

    /// Puts a certificate with its key in the place of the old one.
    pub(super) async fn install(&self, path: &Path, pem: Secret) -> Result<(), IssuanceError> {
        write(path.to_owned(), pem).await
    }

    /// With the order that was made by it.
    pub(super) async fn forget_account(&self, acme: &Acme) -> Result<(), IssuanceError> {
        let mut accounts = self.accounts()?;
        accounts.remove(&acme.directory);
        self.forget_order();
        self.save(ACCOUNT, &accounts).await
    }

    pub(super) fn forget_order(&self) {
        self.forget(ORDER);
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
        // Where the file system has no locks, such as some NFS, it goes without.
        _ = self.lock.set(file);
        Ok(())
    }

    /// None when there is no such file, or nothing of use in it. One that is there but cannot be read may hold what
    /// would be lost with it, such as an account.
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
            Ok(kept) => Ok(Some(kept)),
            Err(error) => {
                tracing::warn!(%error, "{} cannot be parsed and will be replaced", path.display());
                Ok(None)
            }
        }
    }

    async fn save<T: Serialize>(&self, name: &str, kept: &T) -> Result<(), IssuanceError> {
        let path = self.folder.join(name);
        let text = serde_json::to_vec_pretty(kept).map_err(|error| write_error(&path, &error.into()))?;
        write(path, Secret::new(text)).await
    }

    fn forget(&self, name: &str) {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
            _ => {}
        }
    }
}

/// Syncing may take a disk a while, and the thread has connections to accept.
async fn write(path: PathBuf, content: Secret) -> Result<(), IssuanceError> {
    let place = path.clone();
    let written = spawn_blocking(move || Staged::secret(&path, &content)?.commit()).await;
    written.map_err(io::Error::other).flatten().map_err(|error| write_error(&place, &error))
}

fn write_error(path: &Path, error: &io::Error) -> IssuanceError {
    IssuanceError::new(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;
