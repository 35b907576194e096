//! `tidegate token`: the key that signs tokens, and the end of logins before their time.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::cert::authority::{self, Issued};
use super::cert::error::CertError;
use super::cert::files::{self, Content};
use super::exit;
use crate::auth::htpasswd;
use crate::disk::Rewrite;
use crate::token::revoked::{self, Revoked};

/// Anybody may know whose logins are ended, and the server has to.
const LIST_MODE: u32 = 0o644;

/// Make the key that signs tokens, and its certificate; or end logins
///
///   tidegate token certs/token.key
///
/// writes certs/token.key with mode 0600, and beside it certs/token.crt, the certificate
/// that belongs to it, and says where to name them in proxy.toml. The key is needed where
/// logins are to last (`docker login` then keeps an identity token instead of the
/// password), where several tidegates serve one name, and where the registry behind
/// verifies tokens itself: it gets the certificate, never the key.
///
///   tidegate token revoke certs/token.key alice
///
/// ends all logins of alice; her next one counts again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to write the key, for `token.key`; a file that is there is not replaced
    #[arg(value_name = "KEYFILE", required = true)]
    key: Option<PathBuf>,
    /// RSA of 3072 bits instead of ECDSA on P-256
    ///
    /// For a registry that does not know ECDSA. Each token then takes a hundred times the work to sign, and is longer.
    #[arg(long)]
    rsa: bool,
    /// How long the certificate is valid
    ///
    /// A registry refuses every token once it has expired, and nothing renews it: it is trusted because it is named, not
    /// because of who signed it, so nothing is gained by a short life.
    #[arg(long, default_value_t = 3650, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=36500))]
    days: u16,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// End the logins that users have now: the identity tokens that were given for their passwords
    ///
    /// Written into KEYFILE.revoked beside the key; a running tidegate takes it up at once. Access tokens that are in use
    /// count on until `token.ttl` is over. A new password, and removing the user, end his logins too. Names are taken as
    /// they are: nobody looks whether there is such a user.
    Revoke {
        /// The key, as in `token.key`
        #[arg(value_name = "KEYFILE")]
        key: PathBuf,
        /// Whose logins
        #[arg(value_name = "USER", required_unless_present = "all", value_parser = user)]
        users: Vec<String>,
        /// Everybody's
        #[arg(long, conflicts_with = "users")]
        all: bool,
    },
}

/// Does what the command says and tells what it wrote on stdout, or what went wrong on stderr. The exit code follows sysexits:
/// 64 a name that cannot be used, 65 a list that cannot be read, 66 there is no such key, 73 a file cannot be made, 70 anything else.
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
    #[error("{}: there is no such key; name the file that token.key names", .0.display())]
    NoKey(PathBuf),
    #[error("{}: a key cannot be called that; write a name that ends with .key", .0.display())]
    Name(PathBuf),
    #[error("{}:{line}: {message}", .path.display())]
    BadList { path: PathBuf, line: usize, message: &'static str },
    #[error("{}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },
}

impl TokenError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Make(failure) => failure.exit_code(),
            Self::Name(_) => 64,
            Self::NoKey(_) => 66,
            Self::BadList { .. } => 65,
            Self::File { .. } => 73,
        }
    }
}

fn make(key: &Path, command: &Token) -> Result<String, TokenError> {
    let Issued { certificate, key: secret, .. } = authority::token_signer(command.rsa, command.days)?;
    let beside = key.with_extension("crt");
    let directory = key.parent().unwrap_or(Path::new(""));
    let is_named = key.extension().is_some() && beside != key;
    let (Some(key_name), Some(certificate_name), true) = (name(key), name(&beside), is_named) else {
        return Err(TokenError::Name(key.to_owned()));
    };
    let files = [(certificate_name, Content::Public(&certificate)), (key_name, Content::Private(&secret))];
    files::write(directory, &files, false, "choose another name: with a new key all tokens and logins end")?;
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
         In proxy.toml, where paths begin in its own folder:\n\
         \x20 [auth]\n\
         \x20 mode = \"token\"\n\
         \x20 [token]\n\
         \x20 key = {key:?}\n\
         \n\
         For a registry that verifies tokens itself, to [token] also:\n\
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
    // With a wrong name the list would lie where nobody looks.
    if !key.is_file() {
        return Err(TokenError::NoKey(key.to_owned()));
    }
    let path = revoked::beside(key);
    let file = |error| TokenError::File { path: path.clone(), error };
    let rewrite = Rewrite::begin(&path, Some(LIST_MODE)).map_err(file)?;
    Revoked::parse(rewrite.text()).map_err(|bad| {
        let (line, message) = bad.into_iter().next().unwrap_or((1, "it cannot be read"));
        TokenError::BadList { path: path.clone(), line, message }
    })?;
    let text = String::from_utf8_lossy(rewrite.text());
    let text = revoked::revoke(&text, users, SystemTime::now());
    rewrite.commit(text.as_bytes()).map_err(file)?;
    let whose = if users.is_empty() { "everybody".to_owned() } else { users.join(", ") };
    Ok(format!("ended the logins of {whose} up to now, in {}\n", path.display()))
}

/// What the list can name.
fn user(name: &str) -> Result<String, String> {
    htpasswd::user(name.as_bytes()).map(|_| name.to_owned()).map_err(|bad| bad.to_string())
}

#[cfg(test)]
mod tests;
