//! The text of proxy.toml.

use super::plan::{Certificate, Plan};

/// Settings with what most people change first, each with its reason.
pub(super) fn text(plan: &Plan) -> String {
    format!(
        r#"# Settings of tidegate, made by `tidegate init`. Every key that is not here has its default:
# `man tidegate.toml` and docs/configuration.md explain all of them. `tidegate check` finds mistakes,
# and a running tidegate takes up a change by itself.

[server]
# Where clients connect, over TLS.
listen = ["{listen}"]
# Health, metrics and the status page, for this machine alone: http://{admin}/
admin = ["{admin}"]
# Only these host names are served. Without the key, any name is.
# names = ["{host}"]

{certificate}
[upstream]
# The registry. Only tidegate should reach it; then it needs no TLS and no password.
servers = ["{registry}"]

[auth]
# Passwords of users: `tidegate htpasswd add` adds one or changes it, and it applies at once.
htpasswd = "auth/htpasswd"
# Tokens in exchange for passwords: for anonymous pulls with docker, see docs/tokens.md.
# mode = "token"

# Without a rule, every user can do everything. With one, whatever no rule grants is denied.
# [[access]]
# users = [{user:?}]
# repositories = ["**"]
# actions = ["*"]
#
# [[access]]
# users = ["*"]
# repositories = ["${{user}}/**", "public/**"]
# actions = ["pull", "push"]

[log]
# A file with a line for each push, pull, login and refusal. Its folder must be writable for tidegate.
# audit = "audit.log"
"#,
        listen = plan.listen,
        admin = plan.admin,
        host = plan.name.host,
        certificate = certificate(plan),
        registry = plan.registry,
        user = plan.user,
    )
}

fn certificate(plan: &Plan) -> String {
    match &plan.certificate {
        Certificate::Private => {
            let names: Vec<_> = plan.certified_names().iter().map(ToString::to_string).collect();
            format!(
                "[tls]\n\
                 # Signed by the private CA in ca/. For a new one, for the same or other names:\n\
                 # `tidegate cert server --renew --ca ca --out certs {}`\n\
                 certificate = \"certs/domain.crt\"\n\
                 key = \"certs/domain.key\"\n",
                names.join(" ")
            )
        }
        Certificate::Files { chain, key } => format!(
            "[tls]\n\
             # PEM: the chain, the server's own certificate first, and its key. Renewed files are taken up.\n\
             certificate = {chain:?}\n\
             key = {key:?}\n"
        ),
        Certificate::Acme => format!(
            "[acme]\n\
             # From Let's Encrypt, which connects to port 443 of this name. Account and keys are in acme/.\n\
             names = [\"{}\"]\n\
             accept_terms = true\n\
             # How Let's Encrypt can reach you.\n\
             # contact = [\"mailto:you@example.com\"]\n",
            plan.name.host
        ),
    }
}
