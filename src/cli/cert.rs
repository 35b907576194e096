//! `tidegate cert`: a private CA, and the certificates of servers and clients signed by it.

pub(super) mod authority;
mod ca;
mod client;
mod common_name;
pub(super) mod files;
mod list;
mod name;
mod revoke;
mod serial;
mod server;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use self::ca::Ca;
use self::client::Client;
use self::revoke::Revoke;
use self::server::Server;
use crate::problem::Problem;

/// Make the certificates a registry needs when nobody gave you any
///
/// First a CA of your own, once; then a certificate for the server, signed by it.
/// Clients trust the CA, so renewing the server's certificate changes nothing for
/// them.
///
///   tidegate cert ca --out ca
///   tidegate cert server --ca ca --out certs registry.example.com 10.0.0.5
///
/// Clients can have certificates too, one each, and prove with them who they are.
/// One whose key was lost or stolen is revoked.
///
///   tidegate cert client --ca ca --out build1 build1.example.com
///   tidegate cert revoke --ca ca build1/client.cert
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Cert {
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
    /// Make a client certificate signed by that CA: client.cert, client.key and ca.crt
    ///
    /// The directory is ready to be copied to /etc/docker/certs.d/HOST:PORT on the client; docker takes the
    /// files by these endings. Give each machine or person a certificate, so that each can be revoked alone. NAME
    /// becomes the common name: the user under which the registry knows whoever holds client.key.
    ///
    /// The server asks for such certificates when `tls.client.verify` is set and `tls.client.ca` names the CA's ca.crt.
    Client(Client),
    /// Revoke certificates of that CA: put them into ca.crl, which the server reads
    ///
    /// The server refuses them as soon as it has the new ca.crl: name it in `tls.client.crl`, or copy it to where that
    /// points. Nothing is written when one of the certificates cannot be revoked. There is no way back: who is
    /// to come in again gets a new certificate.
    Revoke(Revoke),
}

/// Does what the command says and tells what it wrote on stdout, or what went wrong on stderr. The exit code
/// follows sysexits: 65 a CA, certificate or list cannot be used, 66 it is not there, 73 a file cannot be made, 70 anything else.
pub(crate) fn run(command: &Cert) -> ExitCode {
    super::tell(execute(command), Failure::exit_code)
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
    /// Other files cannot be used.
    #[error("{}", lines(.0))]
    Unusable(Vec<Problem>),
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
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable(problems) if problems.iter().all(|problem| problem.missing) => 66,
            Self::BadAuthority(_) | Self::Unusable(_) => 65,
            Self::NoAuthority(_) => 66,
            Self::Crypto(_) => 70,
            Self::Exists { .. } | Self::Write { .. } => 73,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn execute(command: &Cert) -> Result<String, Failure> {
    match command {
        Cert::Ca(command) => ca::run(command),
        Cert::Server(command) => server::run(command),
        Cert::Client(command) => client::run(command),
        Cert::Revoke(command) => revoke::run(command),
    }
}

#[cfg(test)]
mod tests;
