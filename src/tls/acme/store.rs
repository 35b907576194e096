//! The state on the disk. Every file is replaced in one step, so that a process that is killed leaves one from which
//! the next can go on.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use rustix::fs::{Access, access};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use super::failure::Failure;
use crate::config::{Acme, Problem};
use crate::disk::Staged;
use crate::secret::Secret;
use crate::tls::pair;

const ACCOUNT: &str = "account.json";
const ORDER: &str = "order.json";
const RENEWAL: &str = "renewal.json";

/// The folder `acme.state`.
pub(super) struct Store(PathBuf);

/// The account with one directory.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) directory: String,
    pub(super) contact: Vec<String>,
    pub(super) credentials: AccountCredentials,
}

/// An order that is under way, and the key made for its certificate.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptOrder {
    directory: String,
    names: Vec<String>,
    pub(super) url: String,
    /// PEM.
    #[serde(with = "text")]
    pub(super) key: Secret,
}

/// How the last attempt ended, and when the next one is due.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Renewal {
    directory: String,
    names: Vec<String>,
    /// Attempts that failed since the last that did not.
    pub(super) failures: u32,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) next: OffsetDateTime,
}

impl KeptAccount {
    pub(super) fn new(acme: &Acme, credentials: AccountCredentials) -> Self {
        Self { directory: acme.directory.clone(), contact: acme.contact.clone(), credentials }
    }
}

impl KeptOrder {
    pub(super) fn new(acme: &Acme, url: &str, key: Secret) -> Self {
        Self { directory: acme.directory.clone(), names: acme.names.clone(), url: url.to_owned(), key }
    }

    pub(super) fn is_of(&self, acme: &Acme) -> bool {
        self.directory == acme.directory && self.names == acme.names
    }
}

impl Renewal {
    pub(super) fn issued(acme: &Acme, next: OffsetDateTime) -> Self {
        Self { directory: acme.directory.clone(), names: acme.names.clone(), failures: 0, error: None, next }
    }

    pub(super) fn failed(acme: &Acme, failures: u32, error: String, next: OffsetDateTime) -> Self {
        Self { failures, error: Some(error), ..Self::issued(acme, next) }
    }

    pub(super) fn is_of(&self, acme: &Acme) -> bool {
        self.directory == acme.directory && self.names == acme.names
    }
}

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// What keeps the folder from being written to, if anything does.
    pub(super) fn obstacle(&self) -> Option<Problem> {
        let there = self.0.ancestors().find(|folder| !folder.as_os_str().is_empty() && folder.exists());
        let folder = there.unwrap_or(Path::new("."));
        let usable = folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        (!usable).then(|| {
            let message = format!(
                "acme.state: certificates cannot be kept here, because {} is no folder that the user of tidegate may \
                 write to; give it to that user, or name another folder",
                folder.display()
            );
            Problem::new(self.0.display().to_string(), message)
        })
    }

    /// Makes the folder if it is not there.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(|error| denied(&self.0, &error))
    }

    pub(super) fn account(&self) -> Option<KeptAccount> {
        self.read(ACCOUNT)
    }

    pub(super) fn order(&self) -> Option<KeptOrder> {
        self.read(ORDER)
    }

    pub(super) fn renewal(&self) -> Option<Renewal> {
        self.read(RENEWAL)
    }

    pub(super) async fn save_account(&self, account: &KeptAccount) -> Result<(), Failure> {
        self.save(ACCOUNT, account).await
    }

    pub(super) async fn save_order(&self, order: &KeptOrder) -> Result<(), Failure> {
        self.save(ORDER, order).await
    }

    /// What cannot be written is known to this process all the same.
    pub(super) async fn save_renewal(&self, renewal: &Renewal) {
        if let Err(failure) = self.save(RENEWAL, renewal).await {
            tracing::error!("{}", failure.message);
        }
    }

    /// Puts a certificate with its key in the place of the old one.
    pub(super) async fn install(&self, path: &Path, pem: Secret) -> Result<(), Failure> {
        write(path.to_owned(), pem).await
    }

    pub(super) fn forget_account(&self) {
        self.forget(ACCOUNT);
        self.forget(ORDER);
    }

    pub(super) fn forget_order(&self) {
        self.forget(ORDER);
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.0.join(name);
        let read = pair::open(&path)
            .and_then(|content| serde_json::from_slice(&content.bytes).map_err(io::Error::other));
        match read {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "{} is of no use and will be replaced", path.display());
                None
            }
        }
    }

    async fn save<T: Serialize>(&self, name: &str, kept: &T) -> Result<(), Failure> {
        let path = self.0.join(name);
        let text = serde_json::to_vec_pretty(kept).map_err(|error| denied(&path, &error.into()))?;
        write(path, Secret::new(text)).await
    }

    fn forget(&self, name: &str) {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
            _ => {}
        }
    }
}

/// Syncing may take a disk a while, and the thread has connections to accept.
async fn write(path: PathBuf, content: Secret) -> Result<(), Failure> {
    let place = path.clone();
    let written = spawn_blocking(move || Staged::secret(&path, &content)?.commit()).await;
    written.map_err(io::Error::other).flatten().map_err(|error| denied(&place, &error))
}

fn denied(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()))
}

/// A secret that is text, as JSON.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, ser};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(secret.expose()).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(|text| Secret::new(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests;
