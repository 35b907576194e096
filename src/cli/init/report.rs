//! What `tidegate init` says in the end: what it made, and the next commands as they are typed.

use std::path::{Path, PathBuf};

use super::password::Password;
use super::plan::{Certificate, Plan};
use crate::disk::shell_word;

/// `made` are the new files, and `silent` says which registry does not answer and why.
pub(super) fn text(
    folder: &Path,
    plan: &Plan,
    password: Option<&Password>,
    made: &[PathBuf],
    silent: &[String],
) -> String {
    let mut text: String = made.iter().map(|file| format!("wrote {}\n", clean(file).display())).collect();
    for why in silent {
        text.push_str(&format!("note: registry {why}\n"));
    }
    if let (Certificate::Acme, true) = (&plan.certificate, plan.listen.port() != 443) {
        let (host, port) = (&plan.name.host, plan.listen.port());
        text.push_str(&format!(
            "note: Let's Encrypt asks at port 443 of {host}; it must lead to port {port}\n"
        ));
    }
    text.push_str(&format!("\nuser      {}\n", plan.user));
    text.push_str(&match password {
        Some(password) => format!("password  {}\n", password.shown()),
        None => {
            let file = shell_word(&clean(&folder.join("auth/htpasswd")));
            format!("password  unchanged; set one with: tidegate htpasswd add {file} {}\n", plan.user)
        }
    });
    text + "\nNext:\n" + &start(folder) + &log_in(folder, plan)
}

fn start(folder: &Path) -> String {
    let settings = clean(&folder.join("proxy.toml"));
    if settings == Path::new("proxy.toml") {
        return "  tidegate serve\n".to_owned();
    }
    format!("  tidegate serve --config {}\n", shell_word(&settings))
}

fn log_in(folder: &Path, plan: &Plan) -> String {
    let address = plan.address();
    let login = format!("  docker login -u {} {address}\n", shell_word(Path::new(&plan.user)));
    let Certificate::Private = plan.certificate else { return login };
    let ca = shell_word(&clean(&folder.join("ca/ca.crt")));
    let trust = format!("  sudo install -D -m 644 {ca} /etc/docker/certs.d/{address}/ca.crt\n");
    if plan.name.is_loopback() {
        let other = "\ndocker accepts any certificate from localhost. Other programs and machines must trust the CA.\n\
                     With docker, where NAME is what they call this machine:\n";
        let trust = trust.replace(&plan.name.host.to_string(), "NAME");
        format!("{login}{other}{trust}")
    } else {
        format!(
            "{trust}{login}\nWith the second command docker trusts the CA. Every client needs it; docs/private-ca.md has it for others.\n"
        )
    }
}

/// Without `./` at its beginning.
fn clean(path: &Path) -> PathBuf {
    path.strip_prefix(".").map_or_else(|_| path.to_owned(), Path::to_owned)
}
