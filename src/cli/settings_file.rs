//! The arguments that name proxy.toml.

use std::path::PathBuf;

use clap::Args;

const VARIABLE: &str = "TIDEGATE_CONFIG";
const DEFAULT: &str = "proxy.toml";

/// Which file holds the settings.
#[derive(Args, Debug)]
pub(super) struct SettingsFile {
    /// The settings; proxy.toml.example explains every key [default: proxy.toml]
    ///
    /// Without this option, the variable TIDEGATE_CONFIG may name another file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The same as --config FILE
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
}

impl SettingsFile {
    /// The file that the command line names, else the environment, else the one in the current
    /// folder.
    pub(super) fn path(self) -> PathBuf {
        let from_environment =
            || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.or(self.file).or_else(from_environment).unwrap_or_else(|| DEFAULT.into())
    }
}
