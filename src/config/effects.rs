//! How a change of the settings takes effect in a running process.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// What a reload has to know about the settings. Any key that is not in here takes effect when
/// proxy.toml is read anew.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Files that are read only when the state is built, so that a change needs a reload.
    pub(super) watched: Vec<PathBuf>,
    /// Keys that take effect only at the next start, each with its value.
    pub(super) fixed: Vec<(&'static str, String)>,
}

impl Effects {
    pub(super) fn watch(&mut self, file: &Path) {
        self.watched.push(file.to_owned());
    }

    pub(super) fn fix(&mut self, key: &'static str, value: &impl Debug) {
        self.fixed.push((key, format!("{value:?}")));
    }
}
