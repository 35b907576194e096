//! `tidegate init`: a starting configuration, so that nobody starts from an empty file.

mod answers;
mod made;
mod options;
mod password;
mod plan;
mod ports;
mod report;
mod settings;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::answers::Answers;
use self::made::Made;
use self::options::Options;
use self::password::Password;
use self::plan::{Certificate, Plan};
use super::cert::error::CertError;
use super::cert::files::{self, Content};
use super::htpasswd::error::HtpasswdError;
use super::{cert, exit, htpasswd};
use crate::problem::Problems;
use crate::{app, ping};

/// The settings, by the name that `tidegate serve` looks for.
const SETTINGS: &str = "proxy.toml";

/// The files of a private CA and of its certificate.
const CA: [&str; 2] = ["ca/ca.crt", "ca/ca.key"];
const CERTIFICATE: [&str; 2] = ["certs/domain.crt", "certs/domain.key"];

const USERS: &str = "auth/htpasswd";

/// Make a starting configuration: settings, a certificate and a first user
///
///   tidegate init              in the current folder
///   tidegate init --yes DIR    in DIR, without a question
///
/// Asks for the name that clients use, the certificate, the registry and the first
/// user. Enter takes the answer in brackets, and an option answers its question
/// beforehand. Says in the end what to do next.
///
/// Nothing that is there is ever replaced: a CA, a certificate and users that are in the
/// folder are kept and used. Only a proxy.toml without a single setting, as packages have
/// it, counts as missing. The files get the owner of the folder. If the settings turn out
/// to be wrong, everything that the command has made is removed again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct Init {
    /// The folder; it is created if missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Ask nothing, and take the usual answer to every question that no option answers
    #[arg(short, long)]
    yes: bool,
    /// If the folder has a proxy.toml already, do nothing, with success
    #[arg(long)]
    if_missing: bool,
    #[command(flatten)]
    options: Options,
}

/// Why there is no configuration. What the command had made is removed again.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("{0} is there already, and nothing is replaced; change it, or name another folder")]
    Exists(String),
    #[error("{0}")]
    Usage(String),
    #[error("{}: cannot be created: {}", .0.display(), exit::reason(.1))]
    Folder(PathBuf, io::Error),
    #[error("{0}")]
    Files(#[from] CertError),
    #[error("{0}")]
    Users(#[from] HtpasswdError),
    #[error("these settings would not work, so nothing was written:\n{0}")]
    Settings(Problems),
}

impl InitError {
    /// The exit code, after sysexits(3).
    fn exit_code(&self) -> u8 {
        match self {
            Self::Exists(_) | Self::Folder(..) => 73,
            Self::Usage(_) => exit::USAGE,
            Self::Files(error) => error.exit_code(),
            Self::Users(error) => error.exit_code(),
            Self::Settings(problems) => problems.exit_code(),
        }
    }
}

impl Init {
    /// Makes the configuration and prints what to do with it, or what went wrong.
    pub(super) fn run(self) -> ExitCode {
        exit::finish(execute(&self), InitError::exit_code)
    }
}

fn execute(command: &Init) -> Result<String, InitError> {
    let folder = &command.folder;
    let settings = folder.join(SETTINGS);
    if settings.symlink_metadata().is_ok() && !has_only_comments(&settings) {
        let path = settings.strip_prefix(".").unwrap_or(&settings).display().to_string();
        let kept = format!("{path} is there already: nothing to do\n");
        return if command.if_missing { Ok(kept) } else { Err(InitError::Exists(path)) };
    }
    let mut answers = Answers::new(!command.yes);
    let plan = plan::ask(&command.options, folder, &mut answers).map_err(InitError::Usage)?;
    let password = if folder.join(USERS).exists() {
        None
    } else {
        Some(Password::choose(&plan.user, command.options.password_file(folder), &answers)?)
    };
    make(folder, &plan, password.as_ref())
}

/// Makes what is missing, the settings last, and looks at all of it as a start would.
fn make(folder: &Path, plan: &Plan, password: Option<&Password>) -> Result<String, InitError> {
    let mut made = Made::default();
    let create = |made: &mut Made, folder: &Path| {
        made.folders(folder);
        fs::create_dir_all(folder).map_err(|error| InitError::Folder(folder.to_owned(), error))
    };
    create(&mut made, folder)?;
    let all = |names: [&str; 2]| names.map(|name| folder.join(name));
    if let Certificate::Private = plan.certificate {
        let (ca, certificates) = (folder.join("ca"), folder.join("certs"));
        made.folders(&certificates);
        if !Made::are_there(&all(CERTIFICATE)) {
            made.folders(&ca);
            made.files(&all(CA), || cert::make_ca(&ca))?;
            made.files(&all(CERTIFICATE), || cert::make_server(&ca, &certificates, plan.certified_names()))?;
        }
    }
    if let Some(password) = password {
        create(&mut made, &folder.join("auth"))?;
        if let Some(file) = password.new_file() {
            let parent = file.parent().unwrap_or(folder);
            create(&mut made, parent)?;
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("password");
            let line = password.line();
            made.files(&[file], || {
                files::write(parent, &[(name, Content::Private(&line))], false, "remove it first")
            })?;
        }
        let users = folder.join(USERS);
        made.files(&[&users], || htpasswd::add_first(&users, &plan.user, password.secret()))?;
    }
    let settings = folder.join(SETTINGS);
    if let Ok(old) = fs::read(&settings) {
        made.replaces(&settings, old);
    }
    let text = settings::text(plan);
    let file = [(SETTINGS, Content::Public(&text))];
    if has_only_comments(&settings) {
        files::write(folder, &file, true, "")?;
    } else {
        made.files(&[&settings], || files::write(folder, &file, false, "change it, or name another folder"))?;
    }
    made.give_to_owner_of(folder).map_err(|error| InitError::Folder(folder.to_owned(), error))?;
    let state = app::check(&settings).map_err(InitError::Settings)?;
    let silent: Vec<String> = ping::ask(&state).into_iter().filter_map(Result::err).collect();
    let report = report::text(folder, plan, password, made.list(), &silent);
    made.keep();
    Ok(report)
}

/// Whether a file sets nothing yet, as in a package.
fn has_only_comments(settings: &Path) -> bool {
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    fs::read_to_string(settings).is_ok_and(|text| text.lines().all(is_comment))
}
