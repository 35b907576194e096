//! `tidegate cert ca`: a private CA.

use std::path::PathBuf;

use clap::Args;

use super::authority::{Authority, CERTIFICATE, KEY, REVOCATION_LIST};
use super::error::CertError;
use super::files::{self, Content};
use super::list::{self, RevocationList};

/// What `tidegate cert ca` is told.
#[derive(Debug, Args)]
pub(crate) struct Ca {
    /// Directory to write ca.crt and ca.key into; it is made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What the CA is called in certificates and trust stores, at most 64 characters
    #[arg(long, default_value = "tidegate private CA", value_parser = common_name)]
    pub name: String,
    /// How long the CA is valid; clients must be given a new one after that
    #[arg(long, default_value_t = 3650, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=36500))]
    pub days: u16,
    /// Also write ca.crl, the signed list of revoked certificates, for `tls.client.crl`
    ///
    /// It is empty at first; `tidegate cert revoke` fills it. Where a CA is already there, only its list is
    /// written: with the entries it has, signed anew. --name and --days mean nothing then.
    #[arg(long)]
    pub crl: bool,
    /// Replace a CA that is already there; every certificate it signed becomes worthless
    #[arg(long)]
    pub force: bool,
}

pub(super) fn run(command: &Ca) -> Result<String, CertError> {
    let there = |name: &&str| command.out.join(name).symlink_metadata().is_ok();
    match command.crl && !command.force && [CERTIFICATE, KEY].iter().any(there) {
        true => renew_list(command),
        false => make(command),
    }
}

fn make(command: &Ca) -> Result<String, CertError> {
    let (authority, made) = Authority::make(&command.name, command.days)?;
    let list = command.crl.then(|| list::first(&authority)).transpose()?;
    let mut files =
        vec![(CERTIFICATE, Content::Public(&made.certificate)), (KEY, Content::Private(&made.key))];
    files.extend(list.iter().map(|list| (REVOCATION_LIST, Content::Public(list))));
    files::write(&command.out, &files, command.force, "`--force` replaces the CA")?;
    Ok(report(command))
}

fn renew_list(command: &Ca) -> Result<String, CertError> {
    let authority = Authority::read(&command.out)?;
    let list = RevocationList::open(&authority, &command.out)?;
    let (path, revoked) = (list.path.display().to_string(), list.len());
    list.write()?;
    Ok(format!(
        "wrote {path}  the list of revoked certificates ({revoked}); the CA is as it was\n\n{}",
        list_setting(&path)
    ))
}

fn report(command: &Ca) -> String {
    let certificate = command.out.join(CERTIFICATE);
    let certificate = certificate.display();
    let list = command.out.join(REVOCATION_LIST).display().to_string();
    let (wrote, setting) = match command.crl {
        true => (
            format!("wrote {list}  the list of revoked certificates, for the server\n"),
            format!("\n{}", list_setting(&list)),
        ),
        false => Default::default(),
    };
    format!(
        "wrote {certificate}  the CA's certificate, for every client\n\
         wrote {key}  its private key, for nobody\n\
         {wrote}\
         \n\
         Make a certificate for the server:\n\
         \x20 tidegate cert server --ca {directory} --out certs registry.example.com\n\
         \n\
         Make clients trust it, each in its own way (<port> is left out when it is 443):\n\
         \x20 docker          cp {certificate} /etc/docker/certs.d/<host>:<port>/ca.crt\n\
         \x20 podman, skopeo  cp {certificate} /etc/containers/certs.d/<host>:<port>/ca.crt\n\
         \x20 curl            curl --cacert {certificate} https://<host>:<port>/v2/\n\
         \x20 Debian, Ubuntu  cp {certificate} /usr/local/share/ca-certificates/tidegate.crt && update-ca-certificates\n\
         \x20 Fedora, RHEL    cp {certificate} /etc/pki/ca-trust/source/anchors/tidegate.crt && update-ca-trust\n\
         {setting}",
        key = command.out.join(KEY).display(),
        directory = command.out.display(),
    )
}

/// How a server is told to refuse the certificates in the list.
pub(super) fn list_setting(path: &str) -> String {
    format!(
        "In proxy.toml, to refuse the certificates in the list:\n\
         \x20 [tls.client]\n\
         \x20 crl = [{path:?}]\n\
         A running tidegate that has it there takes the new file up by itself.\n"
    )
}

/// X.520 allows a common name 64 characters.
pub(super) fn common_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    match name.chars().count() {
        1..=64 if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err("a name has 1 to 64 printable characters".to_owned()),
    }
}
