//! haproxy, with the settings it needs to do what the recipe does.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Site;
use crate::failure::Outcome;

pub fn prepare(site: &Site) -> Outcome<Command> {
    // haproxy wants certificate and key in one file, and the users in its own format.
    let bundle = site.folder.join("server.pem");
    fs::write(&bundle, fs::read_to_string(&site.certificate)? + &fs::read_to_string(&site.key)?)?;
    let mut users = String::new();
    let mut auth = "";
    if let Some(file) = &site.htpasswd {
        auth = "http-request auth realm Registry unless { http_auth(registry) }";
        writeln!(users, "userlist registry")?;
        for line in fs::read_to_string(file)?.lines() {
            let (user, hash) = line.split_once(':').ok_or("an htpasswd has a line without a colon")?;
            writeln!(users, "    user {user} password {hash}")?;
        }
    }
    let settings = format!(
        "global
    log stdout format raw local0
    maxconn 8192
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 900s
    timeout server 900s
{users}
frontend door
    bind 127.0.0.1:{port} ssl crt {bundle} alpn h2,http/1.1 ssl-min-ver TLSv1.2 ciphersuites TLS_AES_128_GCM_SHA256 curves {curves}
    {auth}
    option forwardfor
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto https
    default_backend registry
backend registry
    server registry {upstream}
",
        port = site.port,
        curves = site.groups("X25519MLKEM768:X25519", "X25519"),
        bundle = bundle.display(),
        upstream = site.upstream,
    );
    let file = site.folder.join("haproxy.cfg");
    fs::write(&file, settings)?;
    let mut command = Command::new(&site.program);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}
