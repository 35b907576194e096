//! `tidegate cert`: a private CA, and server certificates signed by it.

mod files;
mod issue;
mod name;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::files::Output;
use self::issue::Authority;
use self::name::HostName;

/// Make the certificates a registry needs when nobody gave you any
///
/// First a CA of your own, once; then a certificate for the server, signed by it.
/// Clients trust the CA, so renewing the server's certificate changes nothing for
/// them.
///
///   tidegate cert ca --out ca
///   tidegate cert server --ca ca --out certs registry.example.com 10.0.0.5
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub enum Cert {
    /// Make a private CA: ca.crt, which every client gets, and ca.key, which nobody gets
    ///
    /// Both are written with an ECDSA P-256 key that may sign certificates of servers and clients, but no
    /// further CA; ca.key with mode 0600. Whoever has it can pose as any server to those who trust ca.crt: keep it
    /// off the registry's machine if you can.
    Ca(Ca),
    /// Make a server certificate signed by that CA: domain.crt and domain.key
    ///
    /// It is good for exactly the names given: put in every name and address by which clients reach the registry,
    /// without port. The files go where `tls.certificate` and `tls.key` point; domain.key has mode 0600, so make it
    /// the property of the user that tidegate runs as, or of a group of that user with mode 0640.
    Server(Server),
}

/// What `tidegate cert ca` is told.
#[derive(Debug, Args)]
pub struct Ca {
    /// Directory to write ca.crt and ca.key into; it is made when missing
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What the CA is called in certificates and trust stores, at most 64 characters
    #[arg(long, default_value = "tidegate private CA", value_parser = common_name)]
    pub name: String,
    /// How long the CA is valid; clients must be given a new one after that
    #[arg(long, default_value_t = 3650, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=36500))]
    pub days: u16,
    /// Replace a CA that is already there; every certificate it signed becomes worthless
    #[arg(long)]
    pub force: bool,
}

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

/// Does what the command says and tells what it wrote on stdout, or what went wrong on stderr. The exit code
/// follows sysexits: 65 the CA cannot be used, 66 it is not there, 73 a file cannot be made, 70 anything else.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub fn run(command: &Cert) -> ExitCode {
    match execute(command) {
        Ok(report) => {
            // Whoever closed the pipe does not want the report; the files are written.
            _ = io::stdout().write_all(report.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("tidegate: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Neither file of the CA is there; holds its directory.
    #[error("{0}: there is no CA here; make one with `tidegate cert ca --out {0}`")]
    NoAuthority(String),
    /// The CA's files cannot be used; one line for each fault.
    #[error("{0}")]
    BadAuthority(String),
    /// The user did not ask to replace what is there.
    #[error("{path} exists; nothing was written, {remedy}")]
    Exists { path: String, remedy: &'static str },
    /// The file system refuses.
    #[error("{path}: cannot be written: {error}")]
    Write { path: String, error: io::Error },
    /// The cryptographic library refuses.
    #[error("the certificate cannot be made: {0}")]
    Crypto(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::BadAuthority(_) => 65,
            Self::NoAuthority(_) => 66,
            Self::Crypto(_) => 70,
            Self::Exists { .. } | Self::Write { .. } => 73,
        }
    }
}

fn execute(command: &Cert) -> Result<String, Failure> {
    match command {
        Cert::Ca(command) => ca(command),
        Cert::Server(command) => server(command),
    }
}

fn ca(command: &Ca) -> Result<String, Failure> {
    let output = Output::prepare(&command.out, "ca", command.force, "`--force` replaces the CA")?;
    let made = issue::authority(&command.name, command.days)?;
    output.write(&made)?;
    Ok(ca_report(&command.out, &output))
}

fn server(command: &Server) -> Result<String, Failure> {
    let authority = Authority::read(&command.ca)?;
    let output = Output::prepare(&command.out, "domain", command.renew, "`--renew` replaces it")?;
    let made = authority.issue(&command.names, command.days)?;
    output.write(&made)?;
    Ok(server_report(command, &output, made.shortened))
}

fn ca_report(directory: &Path, output: &Output) -> String {
    let certificate = output.certificate.display();
    format!(
        "wrote {certificate}  the CA's certificate, for every client\n\
         wrote {key}  its private key, for nobody\n\
         \n\
         Make a certificate for the server:\n\
         \x20 tidegate cert server --ca {directory} --out certs registry.example.com\n\
         \n\
         Make clients trust it, each in its own way (<port> is left out when it is 443):\n\
         \x20 docker          cp {certificate} /etc/docker/certs.d/<host>:<port>/ca.crt\n\
         \x20 podman, skopeo  cp {certificate} /etc/containers/certs.d/<host>:<port>/ca.crt\n\
         \x20 curl            curl --cacert {certificate} https://<host>:<port>/v2/\n\
         \x20 Debian, Ubuntu  cp {certificate} /usr/local/share/ca-certificates/tidegate.crt && update-ca-certificates\n\
         \x20 Fedora, RHEL    cp {certificate} /etc/pki/ca-trust/source/anchors/tidegate.crt && update-ca-trust\n",
        key = output.key.display(),
        directory = directory.display(),
    )
}

fn server_report(command: &Server, output: &Output, shortened: bool) -> String {
    let names: Vec<_> = command.names.iter().map(ToString::to_string).collect();
    let mut report = format!(
        "wrote {}  the server's certificate, for {}\n\
         wrote {}  its private key, for the user that tidegate runs as\n",
        output.certificate.display(),
        names.join(", "),
        output.key.display(),
    );
    if shortened {
        // Writing to a String does not fail.
        _ = writeln!(
            report,
            "note: it expires together with the CA, before the {} days are over",
            command.days
        );
    }
    _ = write!(
        report,
        "\n\
         In proxy.toml:\n\
         \x20 [tls]\n\
         \x20 certificate = {:?}\n\
         \x20 key = {:?}\n",
        output.certificate.display().to_string(),
        output.key.display().to_string(),
    );
    report
}

/// X.520 allows a common name 64 characters.
fn common_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    match name.chars().count() {
        1..=64 if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err("a name has 1 to 64 printable characters".to_owned()),
    }
}

#[cfg(test)]
mod tests;
