//! Rules that apply to nobody, most often because a user name is misspelled.

use std::collections::BTreeSet;

use crate::auth::Htpasswd;
use crate::config::{AccessRule, AuthMode, ClientCertificate, Config, Subject, Verify};
use crate::problem::Problem;
use crate::user::User;

/// Warns about such rules. `users` have passwords; `None` if no passwords are asked for.
pub(super) fn warnings(config: &Config, users: Option<&Htpasswd>) -> Vec<Problem> {
    let has_certificates = config.tls.client.verify != Verify::Off;
    match users {
        None if !has_certificates && config.auth.mode == AuthMode::Off => {
            config.access.iter().filter_map(without_names).collect()
        }
        // A directory or a service knows users that no file lists.
        Some(_) if config.auth.ldap.is_some() || config.auth.http.is_some() => Vec::new(),
        // The CA may name users that no file lists.
        Some(_) if has_certificates && config.auth.client_certificate == ClientCertificate::Either => {
            Vec::new()
        }
        Some(users) => unknown(config, users),
        None => Vec::new(),
    }
}

fn without_names(rule: &AccessRule) -> Option<Problem> {
    let message = "access.users: this rule never applies, because nobody has a name while auth.mode is \"off\"; write \"anonymous\" \
                   for everybody, or auth.mode = \"basic\"";
    (!rule.subjects.contains(&Subject::Anonymous)).then(|| Problem::new(&rule.place, message))
}

fn unknown(config: &Config, users: &Htpasswd) -> Vec<Problem> {
    let names: BTreeSet<&User> = users.users().into_iter().map(|(user, _)| user).collect();
    let readable = || names.iter().filter_map(|user| user.as_str());
    // A group may be in several rules.
    let mut reported = BTreeSet::new();
    let mentions = config.access.iter().flat_map(|rule| &rule.mentions);
    // An issuer vouches for names of its own.
    let unknown =
        mentions.filter(|mention| mention.name.issuer().is_none() && !names.contains(&mention.name));
    let new = unknown.filter(|mention| reported.insert((&mention.place, &mention.name)));
    new.map(|mention| mention.unknown(config.auth.htpasswd.as_deref(), readable())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const RULES: &str = r#"
[groups]
team = ["alice", "bbo", "zacharias"]
[[access]]
users = ["@team", "team", "Everyone", "Public", "*"]
repositories = ["a"]
actions = ["pull"]
[[access]]
users = ["@team", "alice"]
repositories = ["b"]
actions = ["pull"]
[[access]]
users = ["anonymous", "alice"]
repositories = ["c"]
actions = ["pull"]
"#;

    fn reported(settings: &str) -> Vec<String> {
        let text = format!("{settings}\n[tls]\ncertificate = 'c'\nkey = 'k'\n{RULES}");
        let config = Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap();
        let users = Htpasswd::parse(
            b"alice:$2y$04$abcdefghijklmnopqrstuuWnkdhNqMkGXNRdpXZ8DCzQdX8i2iLSa\n\
            bob:$2y$04$abcdefghijklmnopqrstuuWnkdhNqMkGXNRdpXZ8DCzQdX8i2iLSa\n",
            false,
        )
        .unwrap();
        let users = (config.auth.mode != AuthMode::Off).then_some(&users);
        warnings(&config, users).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn users_without_a_password_are_reported_once_each() {
        let file = "is not in auth/htpasswd;";
        let expected = [
            format!(r#"proxy.toml:7:18: groups.team: "bbo" {file} did you mean "bob"?"#),
            format!(r#"proxy.toml:7:25: groups.team: "zacharias" {file} nobody can log in with this name"#),
            format!(r#"proxy.toml:9:19: access.users: "team" {file} did you mean "@team"?"#),
            format!(r#"proxy.toml:9:27: access.users: "Everyone" {file} did you mean "*"?"#),
            format!(r#"proxy.toml:9:39: access.users: "Public" {file} did you mean "anonymous"?"#),
        ];
        assert_eq!(reported(""), expected);
        assert_eq!(reported("[auth]\nmode = 'token'").len(), expected.len());
    }

    #[test]
    fn certificates_may_have_any_name() {
        let certificates = "[tls.client]\nca = 'ca'\nverify =";
        assert_eq!(reported(&format!("{certificates} 'optional'")), [""; 0]);
        assert_eq!(reported(&format!("{certificates} 'required'\n[auth]\nmode = 'off'")), [""; 0]);
        let both = format!("{certificates} 'required'\n[auth]\nclient_certificate = 'both'");
        assert_eq!(reported(&both).len(), 5, "the name is the one of the password");
    }

    #[test]
    fn without_names_only_rules_for_everybody_count() {
        let reported = reported("[auth]\nmode = 'off'");
        assert_eq!(reported.len(), 2, "{reported:?}");
        assert!(
            reported[0].starts_with("proxy.toml:9:1: access.users: this rule never applies"),
            "{reported:?}"
        );
    }
}
