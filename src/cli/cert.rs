//! `tidegate cert`: a private CA, and the certificates of servers and clients signed by it.

pub(super) mod authority;
mod ca;
mod client;
mod common_name;
pub(super) mod error;
pub(super) mod files;
mod list;
mod name;
mod revoke;
mod serial;
mod server;

use std::process::ExitCode;

use clap::Subcommand;

use self::ca::Ca;
use self::client::Client;
use self::error::CertError;
use self::revoke::Revoke;
use self::server::Server;
use super::exit;

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

#[cfg(test)]
mod tests;
