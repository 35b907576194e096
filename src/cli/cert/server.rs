//! `tidegate cert server`: a server certificate, signed by a private CA.

use std::path::{Path, PathBuf};

use clap::Args;
use rcgen::{CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, SanType};

use super::authority::Authority;
use super::error::CertError;
use super::files::{self, Content};
use super::issued::{Issued, days};
use super::name::HostName;

const CERTIFICATE: &str = "domain.crt";
const KEY: &str = "domain.key";
const DAYS: u16 = 397;

/// The arguments of `tidegate cert server`.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Directory with ca.crt and ca.key, as `tidegate cert ca` writes them
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// Directory to write domain.crt and domain.key into; it is created if missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A host name (registry.example.com, *.example.com) or an IP address (10.0.0.5, fd00::5)
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<HostName>,
    /// How long the certificate is valid, never longer than the CA
    #[arg(long, default_value_t = DAYS, value_name = "DAYS", value_parser = days)]
    pub days: u16,
    /// Where clients can get the CA's list of revoked certificates, such as
    /// http://pki.example.com/ca.crl
    ///
    /// Use it if you publish the `ca.crl` of `tidegate cert ca --crl`, usually over plain http.
    /// docker, podman and curl do not read it; TLS scanners complain about a certificate without
    /// it.
    #[arg(long, value_name = "URL", value_parser = url)]
    pub crl_url: Option<String>,
    /// Replace existing files, keeping their owner and permissions
    ///
    /// A running tidegate notices the new certificate by itself.
    #[arg(long)]
    pub renew: bool,
}

impl Server {
    /// With the default of every option.
    pub(super) fn usual(ca: &Path, folder: &Path, names: Vec<HostName>) -> Self {
        let (ca, out) = (ca.to_owned(), folder.to_owned());
        Self { ca, out, names, days: DAYS, crl_url: None, renew: false }
    }
}

pub(super) fn run(command: &Server) -> Result<String, CertError> {
    let authority = Authority::read(&command.ca)?;
    let issued = issue(&authority, command)?;
    let files = [(CERTIFICATE, Content::Public(&issued.certificate)), (KEY, Content::Private(&issued.key))];
    files::write(&command.out, &files, command.renew, "`--renew` replaces it")?;
    Ok(report(command, &issued))
}

/// The file needs no chain, because clients have the CA.
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
    params.crl_distribution_points =
        command.crl_url.iter().map(|url| CrlDistributionPoint { uris: vec![url.clone()] }).collect();
    // Clients ignore the common name; people see it in lists of certificates.
    let common_name = command.names.iter().map(ToString::to_string).find(|name| name.len() <= 64);
    authority.issue(params, common_name.as_deref().unwrap_or("registry"), command.days)
}

fn url(text: &str) -> Result<String, String> {
    match text.parse::<http::Uri>() {
        Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) => Ok(text.to_owned()),
        _ => Err("write a URL that begins with http:// or https://".to_owned()),
    }
}

fn report(command: &Server, issued: &Issued) -> String {
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
        note = issued.note(command.days),
    )
}
