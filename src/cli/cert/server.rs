//! `tidegate cert server`: a server certificate, signed by a private CA.

use std::path::PathBuf;

use clap::Args;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};

use super::Failure;
use super::authority::{Authority, Made};
use super::files::{self, Content};
use super::name::HostName;

const CERTIFICATE: &str = "domain.crt";
const KEY: &str = "domain.key";

/// What `tidegate cert server` is told.
#[derive(Debug, Args)]
pub struct Server {
    /// Directory with ca.crt and ca.key, as `tidegate cert ca` writes them
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// Directory to write domain.crt and domain.key into; it is made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A host name (registry.example.com, *.example.com) or an IP address (10.0.0.5, fd00::5)
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<HostName>,
    /// How long the certificate is valid, never longer than the CA
    #[arg(long, default_value_t = 397, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=36500))]
    pub days: u16,
    /// Replace the certificate and key that are there, keeping owner and permissions
    ///
    /// A running tidegate picks up the new ones by itself.
    #[arg(long)]
    pub renew: bool,
}

pub(super) fn run(command: &Server) -> Result<String, Failure> {
    let authority = Authority::read(&command.ca)?;
    let made = issue(&authority, &command.names, command.days)?;
    let files = [(CERTIFICATE, Content::Public(&made.certificate)), (KEY, Content::Private(&made.key))];
    files::write(&command.out, &files, command.renew, "`--renew` replaces it")?;
    Ok(report(command, &made))
}

/// The file needs no chain: the CA is what clients have.
fn issue(authority: &Authority, names: &[HostName], days: u16) -> Result<Made, Failure> {
    let mut params = CertificateParams::default();
    for name in names {
        let name = match name {
            HostName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
            HostName::Address(address) => SanType::IpAddress(*address),
        };
        if !params.subject_alt_names.contains(&name) {
            params.subject_alt_names.push(name);
        }
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Only people read the common name, in a list of certificates.
    let common_name = names.iter().map(ToString::to_string).find(|name| name.len() <= 64);
    authority.issue(params, common_name.as_deref().unwrap_or("registry"), days)
}

fn report(command: &Server, made: &Made) -> String {
    let names: Vec<_> = command.names.iter().map(ToString::to_string).collect();
    let certificate = command.out.join(CERTIFICATE).display().to_string();
    let key = command.out.join(KEY).display().to_string();
    format!(
        "wrote {certificate}  the server's certificate, for {names}\n\
         wrote {key}  its private key, for the user that tidegate runs as\n\
         {note}\
         \n\
         In proxy.toml:\n\
         \x20 [tls]\n\
         \x20 certificate = {certificate:?}\n\
         \x20 key = {key:?}\n",
        names = names.join(", "),
        note = made.note(command.days),
    )
}
