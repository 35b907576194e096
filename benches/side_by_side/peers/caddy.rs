//! caddy, with the settings it needs to do what the recipe does.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Site;
use crate::failure::Outcome;

pub fn prepare(site: &Site) -> Outcome<Command> {
    let mut auth = String::new();
    if let Some(file) = &site.htpasswd {
        // The older name is deprecated since 2.8.
        let directive = if site.version.is_at_least(2, 8) { "basic_auth" } else { "basicauth" };
        writeln!(auth, "{directive} {{")?;
        for line in fs::read_to_string(file)?.lines() {
            writeln!(auth, "            {}", line.replacen(':', " ", 1))?;
        }
        writeln!(auth, "        }}")?;
    }
    let folder = site.folder.display();
    let settings = format!(
        "{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {certificate} {key} {{
        curves {curves}
    }}
    log {{
        output file {folder}/access.log
    }}
    handle /v2/* {{
        {auth}
        reverse_proxy {upstream}
    }}
}}
",
        port = site.port,
        curves = site.groups("x25519mlkem768 x25519", "x25519"),
        certificate = site.certificate.display(),
        key = site.key.display(),
        upstream = site.upstream,
    );
    let file = site.folder.join("Caddyfile");
    fs::write(&file, settings)?;
    let mut command = Command::new(&site.program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    // Without it, caddy would store its state in a home directory.
    command.env("HOME", &site.folder).env("XDG_DATA_HOME", &site.folder).env("XDG_CONFIG_HOME", &site.folder);
    Ok(command)
}
