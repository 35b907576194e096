//! `tidegate cert server`: a server certificate, signed by a private CA.

use std::path::PathBuf;

use clap::Args;
use rcgen::{CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, SanType};

use super::authority::{Authority, Issued};
use super::error::CertError;
use super::files::{self, Content};
use super::name::HostName;

const CERTIFICATE: &str = "domain.crt";
const KEY: &str = "domain.key";

/// What `tidegate cert server` is told.
#[derive(Debug, Args)]
pub(crate) struct Server {
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
    /// Where clients can get the CA's list of revoked certificates, such as http://pki.example.com/ca.crl
    ///
    /// For those who publish the `ca.crl` of `tidegate cert ca --crl`, under plain http as is the custom. docker, podman and
    /// curl do not look there; scanners of TLS complain when a certificate names no such place.
    #[arg(long, value_name = "URL", value_parser = url)]
    pub crl_url: Option<String>,
    /// Replace the certificate and key that are there, keeping owner and permissions
    ///
    /// A running tidegate picks up the new ones by itself.
    #[arg(long)]
    pub renew: bool,
}

pub(super) fn run(command: &Server) -> Result<String, CertError> {
    let authority = Authority::read(&command.ca)?;
    let made = issue(&authority, command)?;
    let files = [(CERTIFICATE, Content::Public(&made.certificate)), (KEY, Content::Private(&made.key))];
    files::write(&command.out, &files, command.renew, "`--renew` replaces it")?;
    Ok(report(command, &made))
}

/// The file needs no chain: the CA is what clients have.
fn issue(authority: &Authority, command: &Server) -> Result<Issued, CertError> {
    let mut params = CertificateParams::default();
    for name in &command.names {
        let name = match name {
            HostName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
            HostName::Address(address) => SanType::IpAddress(*address),
        };
        if !params.subject_alt_names.contains(&name) {
            params.subject_alt_names.push(name);
        }
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let list = command.crl_url.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] });
    params.crl_distribution_points = list.collect();
    // Only people read the common name, in a list of certificates.
    let common_name = command.names.iter().map(ToString::to_string).find(|name| name.len() <= 64);
    authority.issue(params, common_name.as_deref().unwrap_or("registry"), command.days)
}

fn url(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) => Ok(text.to_owned()),
        _ => Err("write a URL that begins with http:// or https://".to_owned()),
    }
}

fn report(command: &Server, made: &Issued) -> String {
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
