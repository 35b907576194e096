//! Who a user and a password are, and what they may do: what the sources of users say, to the last
//! group. Without it a directory can only be guessed at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use super::wait::wait_for;
use crate::access::Identity;
use crate::auth::{Judge, RefusedToken, Remote, Source, Sources, Verdict, Verifier};
use crate::secret::Secret;
use crate::state::State;
use crate::user::{Groups, User};

const TAKEN: &str = "the name is that of a user in auth.htpasswd";

/// The answer for one login.
pub(super) struct Answer {
    /// For people.
    pub(super) text: String,
    /// Whether the login is accepted.
    pub(super) is_in: bool,
}

/// What is known of a login.
struct Login {
    /// `key  value` lines.
    facts: Vec<(&'static str, String)>,
    /// The user, if the login is accepted.
    identity: Option<Identity>,
}

/// Logs in like a client, with nothing remembered.
///
/// # Errors
/// Whoever judges this login cannot be asked: why.
pub(super) fn answer(state: &State, name: &str, password: &Secret) -> Result<Answer, String> {
    let Some(sources) = &state.sources else {
        return Err("auth.mode is \"off\", so nobody logs in".to_owned());
    };
    let Login { facts, identity } = wait_for(log_in(state, sources, name, password))??;
    let mut text = String::new();
    for (key, value) in facts {
        _ = writeln!(text, "{key:<9} {value}");
    }
    if let Some(identity) = &identity {
        rules(&mut text, state, identity);
    }
    Ok(Answer { text, is_in: identity.is_some() })
}

async fn log_in(state: &State, sources: &Sources, name: &str, password: &Secret) -> Result<Login, String> {
    if sources.is_token(password) {
        return by_token(sources, password).await;
    }
    let listed = sources.listed().map_err(|_| "the htpasswd file cannot be read".to_owned())?;
    match sources.judge(&listed, name.as_bytes()) {
        Judge::Remote(Remote::Ldap(ldap)) => {
            let shown = ldap.show(name, password).await?;
            let mut facts = vec![("source", format!("ldap, {}", shown.server))];
            let mut identity = None;
            if let Some(found) = shown.found {
                facts.push(("dn", found.dn));
                facts.push(("name", found.user.to_string()));
                facts.push(("groups", listing(found.groups.iter().map(String::as_str))));
                let named = state.config.groups_elsewhere();
                let groups = Groups::of("ldap", found.groups.iter().map(String::as_str), &named);
                identity = Some(Identity::User(found.user, groups));
            }
            let name = identity.as_ref().and_then(Identity::user);
            let is_taken = name.is_some_and(|user| Sources::is_taken(&listed, user, &Source::Ldap));
            if let Some(reason) = shown.refused.or(is_taken.then_some(TAKEN)) {
                facts.push(("refused", reason.to_owned()));
                identity = None;
            }
            Ok(Login { facts, identity })
        }
        judge => {
            let source = judge.source().to_string();
            let verifier = Verifier::new(&state.config.auth).map_err(|error| error.to_string())?;
            let from = IpAddr::from(Ipv4Addr::LOCALHOST);
            match verifier.verify_with(judge, from, name.as_bytes(), password).await {
                Verdict::Right { person, .. } if Sources::is_taken(&listed, &person.user, &person.source) => {
                    Ok(refused(&source, TAKEN))
                }
                Verdict::Right { person, .. } => {
                    Ok(accepted(&source, Identity::User(person.user, person.groups)))
                }
                Verdict::Wrong(reason) | Verdict::WrongAgain(_, reason) => Ok(refused(&source, reason)),
                Verdict::Unavailable | Verdict::Busy | Verdict::Throttled(_) => {
                    Err(format!("{source} does not judge the login now"))
                }
            }
        }
    }
}

/// What `--login` says to an ID token in place of a password. The name that comes with it is
/// ignored.
async fn by_token(sources: &Sources, token: &Secret) -> Result<Login, String> {
    match sources.issuers.verify(token, SystemTime::now()).await {
        Ok(accepted_token) => {
            let person = accepted_token.person;
            let source = format!("issuer {}", person.source);
            Ok(accepted(&source, Identity::User(person.user, person.groups)))
        }
        Err(RefusedToken::Untrusted) => {
            Ok(refused("issuer", "the issuer of the token is not one of [[auth.issuer]]"))
        }
        Err(RefusedToken::Invalid { issuer, reason }) => Ok(refused(&format!("issuer {issuer}"), &reason)),
        Err(RefusedToken::Unavailable { issuer }) => {
            Err(format!("the keys of the issuer {issuer} cannot be had now"))
        }
    }
}

fn accepted(source: &str, identity: Identity) -> Login {
    let mut facts = vec![("source", source.to_owned())];
    facts.extend(identity.user().map(|user: &User| ("name", user.to_string())));
    let groups = identity.groups();
    facts.push(("groups", listing(groups.iter())));
    Login { facts, identity: Some(identity) }
}

fn refused(source: &str, reason: &str) -> Login {
    Login { facts: vec![("source", source.to_owned()), ("refused", reason.to_owned())], identity: None }
}

fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
}

/// The rules that are meant for the user.
fn rules(text: &mut String, state: &State, identity: &Identity) {
    if state.config.access.is_empty() {
        text.push_str("rules     none: every user may do everything\n");
        return;
    }
    let mut meant = state.rules.meant_for(identity).peekable();
    if meant.peek().is_none() {
        text.push_str("rules     none is for this user, who may do nothing\n");
    }
    for rule in meant {
        let rights: Vec<&str> = rule.rights.names().collect();
        let repositories: Vec<&str> = rule.repositories.iter().map(|pattern| pattern.as_str()).collect();
        let (rights, repositories) = (rights.join(", "), repositories.join(", "));
        _ = writeln!(text, "rule      {}: {rights} in {repositories}", rule.place);
    }
}
