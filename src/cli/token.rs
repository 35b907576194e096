//! `tidegate token`: makes the key that signs tokens, and revokes logins.

mod signer;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::cert::error::CertError;
use super::cert::files::{self, Content};
use super::cert::issued::{Issued, days};
use super::exit;
use super::record::record;
use crate::auth::htpasswd;
use crate::disk::{self, Rewrite};
use crate::problem::Problem;
use crate::token::revoked::{self, Revoked};

/// The server must be able to read the list, which is not a secret.
const LIST_MODE: u32 = 0o644;

/// What a PEM file with a private key of any form contains.
const KEY_MARK: &[u8] = b"PRIVATE KEY-----";

/// Make the key that signs tokens, and its certificate; or revoke logins
///
///   tidegate token certs/token.key
///
/// writes certs/token.key with mode 0600, and its certificate certs/token.crt, and shows
/// how to name them in proxy.toml. You need a key file if logins are to last (`docker
/// login` then keeps an identity token instead of the password), if several tidegates
/// serve one name, or if the registry verifies tokens itself: give it the certificate,
/// never the key.
///
///   tidegate token revoke certs/token.key alice
///
/// ends all logins of alice up to now; they can log in again with their password.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to write the key, for `token.key`; an existing file is not replaced
    #[arg(value_name = "KEYFILE", required = true)]
    key: Option<PathBuf>,
    /// Use RSA of 3072 bits instead of ECDSA on P-256
    ///
    /// For a registry that does not support ECDSA. Signing then takes a hundred times the work, and
    /// tokens are longer.
    #[arg(long)]
    rsa: bool,
    /// How long the certificate is valid
    ///
    /// After that, a registry refuses every token, and nothing renews the certificate. A short life
    /// gains nothing: the registry trusts the certificate because its settings name it.
    #[arg(long, default_value_t = 3650, value_name = "DAYS", value_parser = days)]
    days: u16,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Revoke the current logins of users: the identity tokens that clients keep for them
    ///
    /// Writes KEYFILE.revoked beside the key; a running tidegate applies it at once. A line at the
    /// end of the key says that there is a list: tidegate then does not start without it. Access
    /// tokens in use stay valid until `token.ttl` has passed. A new password, or the removal of a
    /// user, ends their logins too. The command does not check that a user of this name exists.
    Revoke {
        /// The key, as in `token.key`
        #[arg(value_name = "KEYFILE")]
        key: PathBuf,
        /// The users whose logins end
        #[arg(value_name = "USER", required_unless_present = "all", value_parser = user)]
        users: Vec<String>,
        /// End the logins of all users
        #[arg(long, conflicts_with = "users")]
        all: bool,
    },
}

/// Runs the command, and prints what it wrote, or what went wrong. The exit code follows
/// sysexits(3): 64 a file name cannot be used, 65 the list cannot be parsed, 66 the key or its list
/// is missing, 73 a file cannot be written, 70 another failure.
pub(crate) fn run(command: &Token) -> ExitCode {
    let result = match (&command.command, &command.key) {
        (Some(Command::Revoke { key, users, .. }), _) => revoke(key, users),
        (None, Some(key)) => make(key, command),
        (None, None) => return ExitCode::from(exit::USAGE),
    };
    exit::finish(result, TokenError::exit_code)
}

#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("{0}")]
    Make(#[from] CertError),
    #[error("{}: there is no such key; write the path that token.key has in proxy.toml", .0.display())]
    NoKey(PathBuf),
    #[error("{}: holds no private key; write the path that token.key has in proxy.toml", .0.display())]
    NotAKey(PathBuf),
    #[error("the key comes first, and then the users: write {} {user}", .key.display())]
    Order { key: PathBuf, user: String },
    #[error("{0}")]
    LostList(Problem),
    #[error("{}: the file name must end in .key, as in certs/token.key", .0.display())]
    Name(PathBuf),
    #[error("{}:{line}: {message}", .path.display())]
    BadList { path: PathBuf, line: usize, message: &'static str },
    #[error("{}: {}", .path.display(), exit::reason(.error))]
    File { path: PathBuf, error: io::Error },
}

impl TokenError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Make(failure) => failure.exit_code(),
            Self::Name(_) | Self::Order { .. } => 64,
            Self::NoKey(_) | Self::LostList(_) => 66,
            Self::BadList { .. } | Self::NotAKey(_) => 65,
            Self::File { .. } => 73,
        }
    }
}

fn make(key: &Path, command: &Token) -> Result<String, TokenError> {
    let Issued { certificate, key: secret, .. } = signer::issue(command.rsa, command.days)?;
    let beside = key.with_extension("crt");
    let directory = key.parent().unwrap_or(Path::new(""));
    let is_named = key.extension().is_some() && beside != key;
    let (Some(key_name), Some(certificate_name), true) = (name(key), name(&beside), is_named) else {
        return Err(TokenError::Name(key.to_owned()));
    };
    let files = [(certificate_name, Content::Public(&certificate)), (key_name, Content::Private(&secret))];
    files::write(directory, &files, false, "choose another name: a new key ends all tokens and logins")?;
    Ok(report(key, &beside))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn report(key: &Path, certificate: &Path) -> String {
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    format!(
        "wrote {key}  the key, for the user that tidegate runs as\n\
         wrote {certificate}  its certificate, for a registry that verifies tokens itself\n\
         \n\
         In proxy.toml, where paths are relative to its directory:\n\
         \x20 [auth]\n\
         \x20 mode = \"token\"\n\
         \x20 [token]\n\
         \x20 key = {key:?}\n\
         \n\
         If the registry verifies tokens itself, add to [token]:\n\
         \x20 certificate = {certificate:?}\n\
         \x20 service = \"registry.example.com\"\n\
         to [upstream]:\n\
         \x20 authorization = \"pass\"\n\
         and to the config.yml of that registry:\n\
         \x20 auth:\n\
         \x20   token:\n\
         \x20     realm: https://registry.example.com/auth/token\n\
         \x20     service: registry.example.com\n\
         \x20     issuer: tidegate\n\
         \x20     rootcertbundle: /path/to/{bundle}\n",
        bundle = Path::new(&certificate).file_name().unwrap_or_default().display(),
    )
}

fn revoke(key: &Path, users: &[String]) -> Result<String, TokenError> {
    // tidegate would not find a list beside a mistyped key.
    if !key.is_file() {
        let swapped = users.iter().map(PathBuf::from).find(|user| user.is_file());
        return Err(match swapped {
            Some(real) => TokenError::Order { key: real, user: key.display().to_string() },
            None => TokenError::NoKey(key.to_owned()),
        });
    }
    // The remark is appended to the key, and must not get into another file.
    let text = disk::read(key, disk::SMALL);
    if text.is_ok_and(|text| !text.bytes.windows(KEY_MARK.len()).any(|window| window == KEY_MARK)) {
        return Err(TokenError::NotAKey(key.to_owned()));
    }
    let path = revoked::beside(key);
    let failed = |error| TokenError::File { path: path.clone(), error };
    let rewrite = Rewrite::begin(&path, Some(LIST_MODE)).map_err(failed)?;
    // A new list would hide that those revoked before are lost, unless it ends all logins.
    let is_recorded =
        || revoked::RECORD.is_in(key).map_err(|error| TokenError::File { path: key.to_owned(), error });
    if rewrite.is_new() && !users.is_empty() && is_recorded()? {
        return Err(TokenError::LostList(revoked::lost(key)));
    }
    Revoked::parse(rewrite.text()).map_err(|bad| {
        let (line, message) = bad.into_iter().next().unwrap_or((1, "cannot be parsed"));
        TokenError::BadList { path: path.clone(), line, message }
    })?;
    let text = String::from_utf8_lossy(rewrite.text());
    let text = revoked::revoke(&text, users, SystemTime::now());
    rewrite.commit(text.as_bytes()).map_err(failed)?;
    let record = record(&revoked::RECORD, key);
    let whose = if users.is_empty() { "all users".to_owned() } else { users.join(", ") };
    Ok(format!("ended the logins of {whose} up to now, in {}\n{record}", path.display()))
}

/// A user name that can stand in the list.
fn user(name: &str) -> Result<String, String> {
    htpasswd::user(name.as_bytes()).map(|_| name.to_owned()).map_err(|bad| bad.to_string())
}

#[cfg(test)]
mod tests;
