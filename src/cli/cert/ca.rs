//! `tidegate cert ca`: a private CA.

use std::path::{Path, PathBuf};

use clap::Args;

use super::authority::{Authority, CERTIFICATE, KEY, REVOCATION_LIST};
use super::error::CertError;
use super::files::{self, Content};
use super::issued::days;
use super::list::{self, RevocationList};
use crate::disk::shell_word;

const NAME: &str = "tidegate private CA";
const DAYS: u16 = 3650;

/// The arguments of `tidegate cert ca`.
#[derive(Debug, Args)]
pub(crate) struct Ca {
    /// Directory to write ca.crt and ca.key into; it is created if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The name of the CA in certificates and trust stores, at most 64 characters
    #[arg(long, default_value = NAME, value_parser = common_name)]
    pub name: String,
    /// How long the CA is valid; after that, every client needs a new one
    #[arg(long, default_value_t = DAYS, value_name = "DAYS", value_parser = days)]
    pub days: u16,
    /// Also write ca.crl, the signed list of revoked certificates, for `tls.client.crl`
    ///
    /// The list starts empty; `tidegate cert revoke` adds to it. If there is a CA already, only its
    /// list is written: with the same entries and a new signature. --name and --days are then
    /// ignored.
    #[arg(long)]
    pub crl: bool,
    /// Begin a new list although the CA had one that is lost
    ///
    /// Certificates that were revoked are valid again until they are revoked again. A list that is
    /// there is kept.
    #[arg(long, requires = "crl", conflicts_with = "force")]
    pub new_list: bool,
    /// Replace an existing CA; the certificates that it signed become worthless
    #[arg(long)]
    pub force: bool,
}

impl Ca {
    /// With the default of every option.
    pub(super) fn usual(folder: &Path) -> Self {
        let (out, name) = (folder.to_owned(), NAME.to_owned());
        Self { out, name, days: DAYS, crl: false, new_list: false, force: false }
    }
}

pub(super) fn run(command: &Ca) -> Result<String, CertError> {
    let exists = |name: &&str| command.out.join(name).symlink_metadata().is_ok();
    if command.crl && !command.force && [CERTIFICATE, KEY].iter().any(exists) {
        renew_list(command)
    } else {
        make(command)
    }
}

fn make(command: &Ca) -> Result<String, CertError> {
    let (authority, issued) = Authority::make(&command.name, command.days)?;
    let list = command.crl.then(|| list::first(&authority)).transpose()?;
    let mut files =
        vec![(CERTIFICATE, Content::Public(&issued.certificate)), (KEY, Content::Private(&issued.key))];
    files.extend(list.iter().map(|list| (REVOCATION_LIST, Content::Public(list))));
    files::write(&command.out, &files, command.force, "`--force` replaces the CA")?;
    let record = if command.crl { list::record(&command.out) } else { String::new() };
    Ok(record + &report(command))
}

fn renew_list(command: &Ca) -> Result<String, CertError> {
    let authority = Authority::read(&command.out)?;
    let list = RevocationList::open(&authority, &command.out, command.new_list)?;
    let (path, revoked) = (list.path.display().to_string(), list.len());
    list.write()?;
    Ok(format!(
        "wrote {path}  the list of revoked certificates ({revoked}); the CA is unchanged\n{}\n{}",
        list::record(&command.out),
        list_setting(&path)
    ))
}

fn report(command: &Ca) -> String {
    let path = |name| command.out.join(name).display().to_string();
    let certificate = path(CERTIFICATE);
    let (mut wrote, mut setting) = (String::new(), String::new());
    if command.crl {
        let list = path(REVOCATION_LIST);
        wrote = format!("wrote {list}  the list of revoked certificates, for the server\n");
        setting = format!("\n{}", list_setting(&list));
    }
    format!(
        "wrote {certificate}  the CA's certificate, for every client\n\
         wrote {key}  its private key, which stays secret\n\
         {wrote}\
         \n\
         Make a certificate for the server:\n\
         \x20 tidegate cert server --ca {directory} --out certs registry.example.com\n\
         \n\
         Make each client trust it, as root (leave out :PORT if it is 443):\n\
         \x20 docker          install -D -m 644 {word} /etc/docker/certs.d/HOST:PORT/ca.crt\n\
         \x20 podman, skopeo  install -D -m 644 {word} /etc/containers/certs.d/HOST:PORT/ca.crt\n\
         \x20 curl            curl --cacert {word} https://HOST:PORT/v2/\n\
         \x20 Debian, Ubuntu  cp {word} /usr/local/share/ca-certificates/tidegate.crt && update-ca-certificates\n\
         \x20 Fedora, RHEL    cp {word} /etc/pki/ca-trust/source/anchors/tidegate.crt && update-ca-trust\n\
         {setting}",
        key = path(KEY),
        directory = shell_word(&command.out),
        word = shell_word(&command.out.join(CERTIFICATE)),
    )
}

/// The setting by which the server refuses the certificates in the list at `path`.
pub(super) fn list_setting(path: &str) -> String {
    format!(
        "In proxy.toml, to refuse the certificates in the list:\n\
         \x20 [tls.client]\n\
         \x20 crl = [{path:?}]\n\
         A running tidegate with this setting notices the new file by itself.\n"
    )
}

/// X.520 allows a common name 64 characters.
pub(super) fn common_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    match name.chars().count() {
        1..=64 if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err("write a name of 1 to 64 printable characters".to_owned()),
    }
}
