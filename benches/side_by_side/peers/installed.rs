//! The peers that this machine has.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Peer, Version};
use crate::failure::Outcome;

pub struct Installed {
    pub peer: Peer,
    pub program: PathBuf,
    pub version: Version,
}

/// Finds the programs of these peers in `folder`, or else in `PATH`. Installs what is missing and
/// Debian has; a peer that Debian has not is left out. `tidegate` is the program of
/// [`Peer::Tidegate`], and `baseline` that of [`Peer::TidegateBefore`].
pub fn find(
    peers: &[Peer],
    folder: Option<&Path>,
    tidegate: &Path,
    baseline: Option<&Path>,
) -> Outcome<Vec<Installed>> {
    let mut packages = vec!["docker-registry", "setpriv=util-linux"];
    let mut programs = Vec::new();
    for peer in peers {
        let program = match peer.command() {
            Some(command) => {
                let newest = folder.map(|folder| folder.join(command)).filter(|program| program.exists());
                if newest.is_none() {
                    packages.extend(peer.package());
                }
                newest.unwrap_or_else(|| PathBuf::from(command))
            }
            None if *peer == Peer::Tidegate => tidegate.to_owned(),
            None if *peer == Peer::Floor => std::env::current_exe()?,
            None => baseline.ok_or("there is no --baseline")?.to_owned(),
        };
        programs.push((*peer, program));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install-packages.sh");
    if !Command::new(script).args(packages).status()?.success() {
        return Err("a peer could not be installed".into());
    }
    let mut installed = Vec::new();
    for (peer, program) in programs {
        match Version::of(peer, &program) {
            Ok(version) => installed.push(Installed { peer, program, version }),
            Err(failure) if peer.command().is_some() && peer.package().is_none() => {
                println!("Without {}: {failure}", peer.name());
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(installed)
}

impl Installed {
    /// Such as `1.30.6 (OpenSSL 3.6.5)`.
    pub fn versions(&self) -> String {
        format!("{} ({})", self.version.number, self.version.tls)
    }
}
