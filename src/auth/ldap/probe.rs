//! What is wrong with a directory, or will be soon, before anybody logs in.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::connection::{Found, SIZE_LIMIT_EXCEEDED};
use super::directory::Directory;
use super::failure::{Failure, words};
use super::lookup::{SUCCESS, seconds};
use super::server::certificate;
use crate::ldap::{Filter, Search};
use crate::pki::{Facts, date};

/// A certificate that ends before that is told.
const SOON: time::Duration = time::Duration::days(21);
/// For each question, beside `auth.ldap.timeout`.
const LONGEST: Duration = Duration::from_secs(10);

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Logins fail.
    Mistake(String),
    /// Some logins may fail, or will.
    Warning(String),
}

/// `wanted` are the groups that rules name, as the directory names them.
pub(super) async fn probe<'g>(directory: &Directory, wanted: impl Iterator<Item = &'g str>) -> Vec<Finding> {
    let mut findings = servers(directory).await;
    match users(directory).await {
        Ok(found) => findings.extend(found),
        Err(failure) => {
            let text = format!("auth.ldap: no user can be searched: {failure}");
            let is_answer = matches!(failure, Failure::Account { .. } | Failure::Search { .. });
            // What cannot be reached may be there tomorrow.
            findings.push(if is_answer { Finding::Mistake(text) } else { Finding::Warning(text) });
            return findings;
        }
    }
    for group in wanted {
        findings.extend(self::group(directory, group).await);
    }
    findings
}

/// Each server by itself, because a login uses the first that can be reached.
async fn servers(directory: &Directory) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in &directory.settings.servers {
        match certificate(server, directory.tls(), deadline(directory)).await {
            Ok(certificate) => {
                let facts = certificate.as_ref().and_then(Facts::read);
                let ends = facts.map(|facts| facts.not_after);
                if let Some(ends) = ends.filter(|ends| *ends - OffsetDateTime::now_utc() < SOON) {
                    let ends = date(ends);
                    let message =
                        format!("auth.ldap.servers: the certificate of {server} ends on {ends}; renew it");
                    findings.push(Finding::Warning(message));
                }
            }
            Err(cause) => findings.push(Finding::Warning(format!("auth.ldap.servers: {server}: {cause}"))),
        }
    }
    findings
}

/// Whether the search account finds anybody, and their name.
async fn users(directory: &Directory) -> Result<Option<Finding>, Failure> {
    let settings = &directory.settings;
    let (base, attribute) = (settings.base.as_str(), settings.user_attribute.as_str());
    let Found { entries, outcome } =
        search(directory, base, settings.filter.of_anybody(), &[attribute]).await?;
    let who = match &settings.bind_dn {
        Some(dn) => format!("the account {dn}"),
        None => "a client without an account (auth.ldap.bind_dn is empty)".to_owned(),
    };
    Ok(match (entries.first(), outcome.code) {
        (Some(entry), _) if entry.values(attribute).next().is_none() => Some(Finding::Mistake(format!(
            "auth.ldap.user_attribute: the directory does not show {attribute} of {} to {who}; let it, or write \
             another attribute",
            entry.dn
        ))),
        (Some(_), _) => None,
        (None, SUCCESS | SIZE_LIMIT_EXCEEDED) => Some(Finding::Mistake(format!(
            "auth.ldap: the directory shows no user below {base} to {who}; check auth.ldap.base, auth.ldap.filter \
             and what it may search"
        ))),
        (None, _) => Some(Finding::Mistake(format!(
            "auth.ldap.base: the directory does not let {who} search below {base}: {}",
            words(&outcome)
        ))),
    })
}

/// Whether there is a group of this name.
async fn group(directory: &Directory, name: &str) -> Option<Finding> {
    let settings = &directory.settings;
    let Some(base) = &settings.group_base else {
        let message = format!(
            "auth.ldap.group_base is missing, so nobody is in @ldap:{name}, which a rule names; write the DN below \
             which groups are"
        );
        return Some(Finding::Mistake(message));
    };
    let attribute = settings.group_attribute.as_str();
    let found = search(directory, base, Filter::equal(attribute, name), &[attribute]).await;
    let reason = match found {
        // Names have no case in most directories, but they do in rules.
        Ok(Found { entries, .. }) if !entries.is_empty() => {
            let mut names = entries.iter().flat_map(|entry| entry.values(attribute));
            if names.any(|other| other == name.as_bytes()) {
                return None;
            }
            "the directory spells it in another way".to_owned()
        }
        Ok(Found { outcome, .. }) if outcome.code == SUCCESS => format!("there is none below {base}"),
        Ok(Found { outcome, .. }) => format!("the search below {base} fails: {}", words(&outcome)),
        Err(failure) => failure.to_string(),
    };
    Some(Finding::Warning(format!("the group @ldap:{name}, which a rule names, is not found: {reason}")))
}

async fn search(
    directory: &Directory,
    base: &str,
    filter: Vec<u8>,
    attributes: &[&str],
) -> Result<Found, Failure> {
    let deadline = deadline(directory);
    let (size_limit, time_limit) = (1, seconds(deadline));
    let wanted = Search { base, size_limit, time_limit, filter, attributes };
    let found = tokio::time::timeout_at(deadline, directory.search(&wanted, deadline)).await;
    found.unwrap_or_else(|_elapsed| Err(Failure::Late { server: directory.current() }))
}

fn deadline(directory: &Directory) -> Instant {
    Instant::now() + directory.settings.timeout.min(LONGEST)
}
