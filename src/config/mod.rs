//! The settings: proxy.toml and the environment, parsed into what is meant.
//!
//! `file`, with `tls`, `acme`, `access`, `policy` and `token`, turns what is written into [`Config`], key by key; `keys` holds every key and its default;
//! `document`, `section` and `syntax` find all that is wrong in one pass; `disk` looks at the files that are named.

use std::path::{Path, PathBuf};

mod access;
mod acme;
mod address;
mod disk;
mod document;
mod dump;
mod environment;
mod expression;
mod file;
mod keys;
mod names;
mod policy;
mod quote;
mod report;
mod section;
mod settings;
mod syntax;
mod tls;
mod token;
mod values;
mod words;

use crate::problem::{Problem, Problems};
pub(crate) use address::ServerAddress;
pub(crate) use settings::{
    AccessFormat, AccessRule, AccessTarget, Acme, AcmeChallenge, Alpn, Auth, AuthMode, Catalog,
    CertificateFiles, ClientCertificate, ClientCertificates, Limits, Log, LogFormat, Policy, Server, Subject,
    Throttle, Tls, TlsVersion, Token, Upstream, UpstreamAuthorization, UserAgents, UserFrom, Verify,
};

/// All settings of one proxy.toml, every value parsed, in range, and its default filled in. Paths are
/// relative to the working directory, as `path` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file itself.
    pub path: PathBuf,
    /// `[server]`.
    pub server: Server,
    /// `[limits]`.
    pub limits: Limits,
    /// `[tls]`.
    pub tls: Tls,
    /// `[acme]`, when it names something.
    pub acme: Option<Acme>,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[auth]`.
    pub auth: Auth,
    /// `[user_agents]`.
    pub user_agents: UserAgents,
    /// `[[access]]`, in the order of the file; none at all means that every user may do everything.
    pub access: Vec<AccessRule>,
    /// `[policy]`.
    pub policy: Policy,
    /// `[token]`.
    pub token: Token,
    /// `[log]`.
    pub log: Log,
    /// What is not wrong, but does nothing as it is written.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads the file and the environment of the process, and checks that every file named in them
    /// exists and can be read.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file, the environment last.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self::load_with(path, &environment)
    }

    /// As [`Config::load`], with the variables of `environment` instead of the process's own.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(path: &Path, environment: &[(String, String)]) -> Result<Self, Problems> {
        let text = disk::read(path)?;
        let (config, mut report) = file::read(path, &text, environment);
        disk::check(&mut report);
        finished(config, report)
    }

    /// Parses the text of a proxy.toml that stands at `path`, without looking at any file.
    /// A variable `TIDEGATE_<SECTION>_<KEY>` of `environment` wins over the text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, environment: &[(String, String)]) -> Result<Self, Problems> {
        let (config, report) = file::read(path, text, environment);
        finished(config, report)
    }

    /// All settings as a proxy.toml that parses to the same settings at the same path, but for the warnings.
    pub fn to_toml(&self) -> String {
        dump::dump(self)
    }
}

fn finished(config: Option<Config>, mut report: report::Report) -> Result<Config, Problems> {
    let file = report.file().to_owned();
    let warnings = report.take_warnings();
    match (report.problems(), config) {
        (Some(problems), _) => Err(problems),
        (None, Some(config)) => Ok(Config { warnings, ..config }),
        // Every reader that yields nothing has said why, so nobody gets here.
        (None, None) => Err(Problem::new(file, "the settings are incomplete").into()),
    }
}

#[cfg(test)]
mod tests;
