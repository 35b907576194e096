//! What a user may do with a repository, and why.

use std::fmt::Write as _;

use crate::access::{Identity, Rules};
use crate::config::{AuthMode, Config, Policy, Verify};
use crate::pki::Facts;
use crate::registry::rights::Rights;
use crate::state::{State, without_host};
use crate::user::{BadName, User};

/// The name for clients without credentials, as in `access.users`.
const ANONYMOUS: &str = "anonymous";

/// The answer for one user and one repository.
pub(super) struct Answer {
    /// A line for each right, for people.
    pub(super) text: String,
    /// Why the question may be a mistake.
    pub(super) warning: Option<String>,
    /// Whether the user has any right.
    pub(super) allows_anything: bool,
}

/// What `user` may do with `repository`.
///
/// # Errors
/// `user` cannot be the name of a user.
pub(super) fn answer(state: &State, user: &str, repository: &str) -> Result<Answer, BadName> {
    let identity = match user {
        ANONYMOUS => Identity::Anonymous,
        name => Identity::from(User::parse(name)?),
    };
    let rights = state.rules.rights(&identity, repository);
    let mut text = if state.config.access.is_empty() {
        without_rules(&state.config)
    } else if rights.is_empty() {
        format!("{user} may do nothing with {repository}: no rule grants anything\n")
    } else {
        by_rules(&state.rules, &identity, repository)
    };
    text.push_str(&limits(&state.config.policy, rights, repository));
    Ok(Answer { text, warning: doubt(state, user, repository), allows_anything: !rights.is_empty() })
}

fn without_rules(config: &Config) -> String {
    let who = match config.auth.mode {
        AuthMode::Off => "every client may do everything",
        AuthMode::Basic | AuthMode::Token => "every user may do everything, anonymous clients nothing",
    };
    format!("there is no [[access]] rule: {who}\n")
}

fn by_rules(rules: &Rules, identity: &Identity, repository: &str) -> String {
    let mut text = String::new();
    let is_blind = !rules.rights(identity, repository).contains(Rights::PULL);
    for (name, right) in
        ["pull", "push", "delete"].into_iter().filter_map(|name| Some((name, Rights::named(name)?)))
    {
        let granting = rules.granting(identity, repository).filter(|rule| rule.rights.contains(right));
        let places: Vec<&str> = granting.map(|rule| rule.place.as_str()).collect();
        let mut reason = match &*places {
            [] => "not allowed".to_owned(),
            [place] => format!("by the rule at {place}"),
            places => format!("by the rules at {}", places.join(", ")),
        };
        if right == Rights::PUSH && is_blind && !places.is_empty() {
            reason.push_str(", but pushing also requires pull");
        }
        _ = writeln!(text, "{name:<7} {reason}");
    }
    text
}

/// What `[policy]` forbids every user.
fn limits(policy: &Policy, rights: Rights, repository: &str) -> String {
    let mut text = String::new();
    let changes = Rights::PUSH | Rights::DELETE;
    if (rights & changes).is_empty() {
        return text;
    }
    if policy.read_only {
        text.push_str("but policy.read_only is on: nobody may push or delete\n");
    }
    for immutable in policy.immutable_tags.iter().filter(|one| one.repositories.fits(repository, None)) {
        let tags = &immutable.tags;
        _ = writeln!(
            text,
            "but policy.immutable_tags: nobody may overwrite or delete a tag that matches {tags}"
        );
    }
    text
}

fn doubt(state: &State, user: &str, repository: &str) -> Option<String> {
    doubtful_user(state, user, repository).or_else(|| {
        let certified: Vec<String> = state.tls.certificates().flat_map(Facts::names).collect();
        let rest = without_host(repository, state.config.server.names.iter().chain(&certified))?;
        Some(format!("{repository} begins with the host of this registry; ask about {rest}"))
    })
}

fn doubtful_user(state: &State, user: &str, repository: &str) -> Option<String> {
    let has_certificates = state.config.tls.client.verify != Verify::Off;
    let is_known = |name: &str| {
        let users = state.sources.as_ref().and_then(|sources| sources.listed().ok());
        users.is_some_and(|users| users.person(name.as_bytes()).is_some())
    };
    let file = || match &state.config.auth.htpasswd {
        Some(file) => format!("is not in {}", file.display()),
        None => "has no password, as there is no auth.htpasswd".to_owned(),
    };
    match &state.sources {
        _ if user == ANONYMOUS || is_known(user) => None,
        Some(_) if repository == ANONYMOUS || is_known(repository) => {
            Some(format!("the user comes first, and then the repository: write --as {repository} {user}"))
        }
        Some(sources) if sources.remote.is_some() || user.contains(':') => None,
        Some(_) if user.starts_with('@') => Some(format!("{user} is a group; ask about one of its members")),
        Some(_) if has_certificates => {
            Some(format!("{user} {}; only a client certificate can prove this name", file()))
        }
        Some(_) => Some(format!("{user} {}", file())),
        None if has_certificates => None,
        None => Some(format!("auth.mode is \"off\", so every client is anonymous; ask about {ANONYMOUS}")),
    }
}
