//! `tidegate cert`: a private CA, and certificates of servers and clients signed by it.

mod authority;
mod ca;
mod client;
mod common_name;
pub(super) mod error;
pub(super) mod files;
pub(super) mod issued;
mod list;
pub(super) mod name;
mod revoke;
mod serial;
mod server;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use self::ca::Ca;
use self::client::Client;
use self::error::CertError;
use self::name::HostName;
use self::revoke::Revoke;
use self::server::Server;
use super::exit;

/// Make the certificates that a registry needs, signed by a private CA of your own
///
/// Make the CA once, and then a certificate for the server, signed by the CA. Clients
/// trust the CA, so nothing changes for them when the server's certificate is renewed.
///
///   tidegate cert ca --out ca
///   tidegate cert server --ca ca --out certs registry.example.com 10.0.0.5
///
/// Clients can have certificates too, one each, that prove who they are. Revoke a
/// certificate when its key is lost or stolen.
///
///   tidegate cert client --ca ca --out build1 build1.example.com
///   tidegate cert revoke --ca ca build1/client.cert
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Cert {
    /// Make a private CA: ca.crt for every client, and ca.key, which stays secret
    ///
    /// The key is ECDSA P-256, in a file with mode 0600. It can sign certificates of servers and
    /// clients, but no further CA. Whoever has ca.key can pose as any server to clients that trust
    /// ca.crt: if you can, keep it off the registry's machine.
    Ca(Ca),
    /// Make a server certificate signed by that CA: domain.crt and domain.key
    ///
    /// It is valid for exactly the names given: name every host name and address by which clients
    /// reach the registry, without port. Put the files where `tls.certificate` and `tls.key` point.
    /// domain.key has mode 0600: make the user that tidegate runs as its owner, or give it to a
    /// group of that user, with mode 0640.
    Server(Server),
    /// Make a client certificate signed by that CA: client.cert, client.key and ca.crt
    ///
    /// Copy the directory to /etc/docker/certs.d/HOST:PORT on the client: docker finds the files by
    /// these endings. Give each machine or person their own certificate, so that each can be
    /// revoked alone. NAME becomes the common name: the user that the registry sees.
    ///
    /// For the server to ask for such certificates, set `tls.client.verify`, and name the CA's
    /// ca.crt in `tls.client.ca`.
    Client(Client),
    /// Revoke certificates of that CA: add them to ca.crl, which the server reads
    ///
    /// The server refuses them as soon as it has the new ca.crl: name the file in `tls.client.crl`,
    /// or copy it to the path named there. If one of the certificates cannot be revoked, nothing is
    /// written. A revocation is final: to let the client in again, make a new certificate.
    ///
    /// A line at the end of ca.key says that there is a list: no new one is begun if it is lost.
    Revoke(Revoke),
}

/// Runs the command, and prints what it wrote, or what went wrong. The exit code follows
/// sysexits(3): 65 a CA, certificate or list cannot be used, 66 a file is missing, 73 a file cannot
/// be written, 70 another failure.
pub(crate) fn run(command: &Cert) -> ExitCode {
    exit::finish(execute(command), CertError::exit_code)
}

fn execute(command: &Cert) -> Result<String, CertError> {
    match command {
        Cert::Ca(command) => ca::run(command),
        Cert::Server(command) => server::run(command),
        Cert::Client(command) => client::run(command),
        Cert::Revoke(command) => revoke::run(command),
    }
}

/// Does what `tidegate cert ca --out DIR` does.
pub(super) fn make_ca(folder: &Path) -> Result<(), CertError> {
    ca::run(&Ca::usual(folder)).map(drop)
}

/// Does what `tidegate cert server --ca DIR --out DIR NAME...` does.
pub(super) fn make_server(ca: &Path, folder: &Path, names: Vec<HostName>) -> Result<(), CertError> {
    server::run(&Server::usual(ca, folder, names)).map(drop)
}

#[cfg(test)]
mod tests;
