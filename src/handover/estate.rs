//! What a process leaves to the one that takes over from it.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::sockets::Listening;
use crate::state::Heritage;

/// Everything that passes over but the descriptors. Another version may know more or less, so that
/// what is missing is empty.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Estate {
    /// What the first descriptors are.
    pub listening: Vec<Listening>,
    /// Whether one more descriptor counts the lines of the audit log.
    pub counts_lines: bool,
    /// What clients have been given that the new process must understand.
    pub heritage: Heritage,
}

/// The estate as it has arrived.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    pub sockets: Vec<(Listening, OwnedFd)>,
    pub numbers: Option<OwnedFd>,
    pub heritage: Heritage,
}

impl Inheritance {
    /// Descriptors that nobody knows are closed.
    pub(super) fn new(estate: Estate, mut descriptors: Vec<OwnedFd>) -> Self {
        let Estate { listening, counts_lines, heritage } = estate;
        let rest = descriptors.split_off(listening.len().min(descriptors.len()));
        let numbers = rest.into_iter().next().filter(|_| counts_lines);
        Self { sockets: listening.into_iter().zip(descriptors).collect(), numbers, heritage }
    }
}
