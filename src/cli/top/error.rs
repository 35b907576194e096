//! Why there is nothing to show.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

use crate::cli::admin_client::{Client, ClientError};
use crate::cli::exit::OS_ERROR;
use crate::cli::htpasswd::error::HtpasswdError;
use crate::config::AdminAddress;
use crate::problem::Problems;

/// sysexits(3): a service is unavailable; here, tidegate itself.
const UNAVAILABLE: u8 = 69;
/// sysexits(3): an error in the settings.
const CONFIGURATION: u8 = 78;

#[derive(Debug, thiserror::Error)]
pub(super) enum TopError {
    #[error("{0}")]
    Settings(Problems),
    #[error(
        "{}: server.admin is not set; write admin = [\"127.0.0.1:9443\"] in [server] and restart tidegate, or name \
         the address of another one with --admin", .0.display()
    )]
    NoAddress(PathBuf),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("{0} wants a password; name a user of admin.htpasswd with --user, and check the password")]
    Password(AdminAddress),
    #[error(
        "{0} shows no status to this client; ask on the same machine, add this client to admin.allow, or set \
         admin.htpasswd; make sure that this is an address in server.admin"
    )]
    Hidden(AdminAddress),
    #[error("{0} answered {1}; make sure that this is an address in server.admin")]
    Status(AdminAddress, StatusCode),
    #[error("{0} sent a status that cannot be read: {1}")]
    Unreadable(AdminAddress, serde_json::Error),
    #[error("{0}")]
    Login(#[from] HtpasswdError),
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl TopError {
    /// The error for an answer that is not a status.
    pub(super) fn refused(client: &Client, status: StatusCode) -> Self {
        let address = client.address().clone();
        match status {
            StatusCode::UNAUTHORIZED => Self::Password(address),
            StatusCode::NOT_FOUND => Self::Hidden(address),
            status => Self::Status(address, status),
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(problems) => problems.exit_code(),
            Self::NoAddress(_) => CONFIGURATION,
            Self::Client(_)
            | Self::Password(_)
            | Self::Hidden(_)
            | Self::Status(..)
            | Self::Unreadable(..) => UNAVAILABLE,
            Self::Login(error) => error.exit_code(),
            Self::System(_) => OS_ERROR,
        }
    }
}
