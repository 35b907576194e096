//! What is to be made: the answers to all questions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::super::cert::name::HostName;
use super::answers::Answers;
use super::options::{self, Address, Options, Source};
use super::ports;
use crate::config::ServerAddress;

pub(super) struct Plan {
    pub(super) name: Address,
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) certificate: Certificate,
    pub(super) registry: ServerAddress,
    pub(super) user: String,
}

pub(super) enum Certificate {
    /// From a CA in the folder.
    Private,
    /// Files by their paths in proxy.toml.
    Files { chain: PathBuf, key: PathBuf },
    /// From Let's Encrypt.
    Acme,
}

impl Plan {
    /// The names and addresses in the certificate. This machine can always be asked by its own.
    pub(super) fn certified_names(&self) -> Vec<HostName> {
        let own = [
            HostName::Dns("localhost".to_owned()),
            HostName::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            HostName::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        let own = own.into_iter().filter(|name| *name != self.name.host);
        std::iter::once(self.name.host.clone()).chain(own).collect()
    }

    /// What clients write to reach tidegate.
    pub(super) fn address(&self) -> String {
        self.name.with_port(self.listen.port())
    }
}

/// Asks whatever the options leave open.
///
/// # Errors
/// Which answer is missing or cannot be used, and what to do.
pub(super) fn ask(options: &Options, folder: &Path, answers: &mut Answers) -> Result<Plan, String> {
    let name = answers.get(
        options.name.clone(),
        "Name or address that clients use, such as registry.example.com",
        "localhost",
        options::name,
    )?;
    let certificate = certificate(options, &name, folder, answers)?;
    let registry = answers.get(
        options.registry.clone(),
        "Registry that tidegate stands in front of",
        "http://127.0.0.1:5000",
        options::registry,
    )?;
    let user = answers.get(options.user.clone(), "First user", "admin", options::user)?;
    let listen = options.listen.unwrap_or_else(ports::for_clients);
    Ok(Plan { name, listen, admin: ports::for_admin(), certificate, registry, user })
}

fn certificate(
    options: &Options,
    name: &Address,
    folder: &Path,
    answers: &mut Answers,
) -> Result<Certificate, String> {
    let has_files = options.chain.is_some() || options.key.is_some();
    let source = answers.get(
        options.certificate.or(has_files.then_some(Source::Files)),
        "Certificate: 1 from a private CA made now, 2 files that you have, 3 from Let's Encrypt",
        "1",
        options::source,
    )?;
    match source {
        Source::Private => Ok(Certificate::Private),
        Source::Files => {
            let chain = answers.get(options.chain.clone(), "Certificate file", "", options::file)?;
            let key = answers.get(options.key.clone(), "Key file", "", options::file)?;
            Ok(Certificate::Files { chain: seen_from(folder, chain), key: seen_from(folder, key) })
        }
        Source::Acme => {
            if !matches!(&name.host, HostName::Dns(name) if name.contains('.')) {
                return Err(format!("Let's Encrypt knows only public names, and {} is none", name.host));
            }
            let agreed = answers.get(
                options.accept_terms.then_some(true),
                "You agree to the terms of service at https://letsencrypt.org/repository: yes or no",
                "no",
                yes_or_no,
            )?;
            if agreed {
                Ok(Certificate::Acme)
            } else {
                Err("Let's Encrypt gives no certificate without it; agree with --accept-terms, or choose another \
                     source with --certificate"
                    .to_owned())
            }
        }
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" => Ok(true),
        "no" | "n" => Ok(false),
        _ => Err("write yes or no".to_owned()),
    }
}

/// A path as proxy.toml has it: relative for a file in its folder.
fn seen_from(folder: &Path, file: PathBuf) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_default();
    file.strip_prefix(&folder).map(Path::to_owned).unwrap_or(file)
}
