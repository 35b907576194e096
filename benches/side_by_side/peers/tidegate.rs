//! tidegate with its defaults.

use std::fs;
use std::process::Command;

use super::Site;
use crate::failure::Outcome;

pub fn prepare(site: &Site) -> Outcome<Command> {
    let auth = match &site.htpasswd {
        Some(file) => format!("htpasswd = {file:?}"),
        None => "mode = \"off\"".to_owned(),
    };
    let settings = format!(
        r#"[server]
listen = ["127.0.0.1:{port}"]
[tls]
certificate = {certificate:?}
key = {key:?}
[upstream]
servers = ["http://{upstream}"]
[auth]
{auth}
[log]
access = "access.log"
"#,
        port = site.port,
        certificate = site.certificate,
        key = site.key,
        upstream = site.upstream,
    );
    let file = site.folder.join("proxy.toml");
    fs::write(&file, settings)?;
    let mut command = Command::new(&site.program);
    command.arg("serve").arg("--config").arg(file);
    Ok(command)
}
