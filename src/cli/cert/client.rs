//! `tidegate cert client`: a client certificate, signed by a private CA.

use std::path::PathBuf;

use clap::Args;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};

use super::authority::{self, Authority};
use super::common_name::{CommonName, Kind};
use super::error::CertError;
use super::files::{self, Content};
use super::issued::{Issued, days};
use crate::disk::shell_word;

// Docker finds the files by these endings.
const CERTIFICATE: &str = "client.cert";
const KEY: &str = "client.key";

/// The arguments of `tidegate cert client`.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// Directory with ca.crt and ca.key, as `tidegate cert ca` writes them
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// Directory to write client.cert, client.key and ca.crt into; it is created if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The user that the registry sees: a machine (build1.example.com), a mail address, or any name
    /// without a colon
    pub name: CommonName,
    /// How long the certificate is valid, never longer than the CA
    #[arg(long, default_value_t = 397, value_name = "DAYS", value_parser = days)]
    pub days: u16,
    /// Replace existing files, keeping their owner and permissions
    ///
    /// The old certificate stays valid until it expires; to prevent that, revoke it first.
    #[arg(long)]
    pub renew: bool,
}

pub(super) fn run(command: &Client) -> Result<String, CertError> {
    let authority = Authority::read(&command.ca)?;
    if command.out.join(authority::KEY).exists() {
        let path = command.out.display().to_string();
        return Err(CertError::Exists {
            path: format!("{path}: a CA"),
            remedy: "name another directory with --out",
        });
    }
    let issued = issue(&authority, &command.name, command.days)?;
    let certificate = format!("{}{}", issued.certificate, authority.intermediates());
    let ca = authority.pem();
    let files = [
        (CERTIFICATE, Content::Public(&certificate)),
        (KEY, Content::Private(&issued.key)),
        (authority::CERTIFICATE, Content::Public(&ca)),
    ];
    files::write(&command.out, &files, command.renew, "`--renew` replaces it")?;
    Ok(report(command, &issued))
}

fn issue(authority: &Authority, name: &CommonName, days: u16) -> Result<Issued, CertError> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = match name.kind() {
        Kind::Host => vec![SanType::DnsName(name.as_str().try_into()?)],
        Kind::Mail => vec![SanType::Rfc822Name(name.as_str().try_into()?)],
        Kind::Plain => Vec::new(),
    };
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    authority.issue(params, name.as_str(), days)
}

fn report(command: &Client, issued: &Issued) -> String {
    let place = |name| command.out.join(name).display().to_string();
    let word = |name| shell_word(&command.out.join(name));
    format!(
        "wrote {certificate}  the client's certificate, for the user {name}\n\
         wrote {key}  its private key, for this client only\n\
         wrote {ca}  the CA's certificate, which proves the server to it\n\
         serial number {serial}\n\
         {note}\
         \n\
         Copy the three files to the client, into a folder that you make there (leave out :PORT if it is 443):\n\
         \x20 docker          into /etc/docker/certs.d/HOST:PORT/\n\
         \x20 podman, skopeo  into /etc/containers/certs.d/HOST:PORT/\n\
         \x20 containerd      into /etc/containerd/certs.d/HOST:PORT/, and in the hosts.toml there:\n\
         \x20                   ca = \"ca.crt\"\n\
         \x20                   client = [[\"client.cert\", \"client.key\"]]\n\
         \x20 curl            curl --cert {certificate_word} --key {key_word} --cacert {ca_word} https://HOST:PORT/v2/\n\
         If another CA signed the server's certificate, replace ca.crt on the client by that CA's.\n\
         \n\
         If the key is lost or stolen, or the client is retired:\n\
         \x20 tidegate cert revoke --ca {directory} {certificate_word}\n\
         \x20 tidegate cert revoke --ca {directory} --serial {serial}\n",
        certificate = place(CERTIFICATE),
        key = place(KEY),
        ca = place(authority::CERTIFICATE),
        certificate_word = word(CERTIFICATE),
        key_word = word(KEY),
        ca_word = word(authority::CERTIFICATE),
        name = command.name,
        serial = issued.serial,
        note = issued.note(command.days),
        directory = shell_word(&command.ca),
    )
}
