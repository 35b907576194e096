//! The folder for everything that one run writes: certificate, password files, settings, logs and
//! the proxies' buffers. It is on the disk of the build, not in memory, so that writing has its
//! real cost. It is removed when the bench ends.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::failure::Outcome;

/// The user who signs in, the last one in a file of many users.
pub const USER: &str = "bench";
pub const PASSWORD: &str = "correct horse";

/// The number of users in an htpasswd file, and the cost of their bcrypt hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Users {
    pub count: usize,
    pub cost: u32,
}

pub struct Scratch {
    folder: TempDir,
    /// Self-signed ECDSA P-256 certificate for localhost, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8 PEM, readable by its owner only.
    pub key: PathBuf,
    pub certificate_der: CertificateDer<'static>,
    htpasswds: HashMap<Users, PathBuf>,
    folders: usize,
}

impl Scratch {
    pub fn new() -> Outcome<Scratch> {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let made = CertificateParams::new(["localhost".to_owned()])?.self_signed(&pair)?;
        let certificate = folder.path().join("server.crt");
        let key = folder.path().join("server.key");
        fs::write(&certificate, made.pem())?;
        write_private(&key, &pair.serialize_pem())?;
        let certificate_der = made.der().clone();
        Ok(Scratch { folder, certificate, key, certificate_der, htpasswds: HashMap::new(), folders: 0 })
    }

    /// Creates an empty folder for one process.
    pub fn folder(&mut self, name: &str) -> io::Result<PathBuf> {
        self.folders += 1;
        let folder = self.folder.path().join(format!("{}-{}", self.folders, name.replace(' ', "-")));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// The htpasswd file of these users. They share one hash, because a hundred thousand would take
    /// minutes.
    pub fn htpasswd(&mut self, users: Users) -> Outcome<PathBuf> {
        if let Some(path) = self.htpasswds.get(&users) {
            return Ok(path.clone());
        }
        let hash = bcrypt::hash_with_result(PASSWORD, users.cost)?.format_for_version(bcrypt::Version::TwoY);
        let mut text = String::new();
        for number in 1..users.count {
            writeln!(text, "user{number}:{hash}")?;
        }
        writeln!(text, "{USER}:{hash}")?;
        let path = self.folder.path().join(format!("htpasswd-{}-{}", users.count, users.cost));
        write_private(&path, &text)?;
        self.htpasswds.insert(users, path.clone());
        Ok(path)
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
