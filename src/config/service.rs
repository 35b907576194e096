//! `[auth.http]`: a service of the operator that judges logins.

use std::path::PathBuf;
use std::time::Duration;

use super::print::Printer;
use super::section::Section;

/// A service. Two of them are equal if they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `https`, or `http` to a loopback address.
    pub address: ServiceAddress,
    /// PEM roots; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// The file with what is sent as `X-Tidegate-Secret`.
    pub secret: Option<PathBuf>,
    /// The field of the answer with the user's name.
    pub user_header: String,
    /// The field of the answer with the groups, separated by commas; `None` means no groups.
    pub group_header: Option<String>,
    pub timeout: Duration,
    pub connections: usize,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAddress {
    /// An absolute URL.
    Url(http::Uri),
    /// The path of a socket.
    Unix(PathBuf),
}

impl Service {
    /// `None` inside if the section is not there.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Option<Self>> {
        if !section.is_there() {
            return Some(None);
        }
        None
    }

    pub(super) fn print(&self, _to: &mut Printer<'_>) {}
}
