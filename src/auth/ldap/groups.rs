//! The groups of a user, and those in which their groups are.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::connection::{Found, SIZE_LIMIT_EXCEEDED};
use super::directory::Directory;
use super::failure::Failure;
use super::lookup::{Account, REFERRAL, SUCCESS, seconds};
use crate::ldap::{Entry, Search, normal_dn};

/// Groups of one user, with those in which they are.
const MOST: usize = 200;

/// The names of the groups. There may be more if this is the most.
pub(super) async fn groups(
    directory: &Directory,
    account: &Account,
    deadline: Instant,
) -> Result<BTreeSet<String>, Failure> {
    let settings = &directory.settings;
    let (Some(base), Some(user)) = (&settings.group_base, account.user.as_str()) else {
        return Ok(BTreeSet::new());
    };
    let mut names = BTreeSet::new();
    // By the spelling that all have in common, so that a circle ends.
    let mut known = BTreeSet::from([normal_dn(&account.dn)]);
    let mut members = vec![account.dn.clone()];
    let mut read = 0;
    for _level in 0..=settings.nested {
        let Some(left) = MOST.checked_sub(read).filter(|left| *left > 0 && !members.is_empty()) else {
            break;
        };
        let filter = match members.as_slice() {
            [dn] => settings.group_filter.of(user, dn),
            dns => settings.group_filter.of_any(user, dns.iter().map(String::as_str)),
        };
        let search = Search {
            base,
            size_limit: u32::try_from(left).unwrap_or(u32::MAX),
            time_limit: seconds(deadline),
            filter,
            attributes: &[&settings.group_attribute],
        };
        let Found { entries, outcome } = directory.search(&search, deadline).await?;
        if !matches!(outcome.code, SUCCESS | SIZE_LIMIT_EXCEEDED | REFERRAL) {
            let (server, base) = (directory.current(), base.clone());
            return Err(Failure::Search { server, base, outcome });
        }
        read += entries.len();
        names.extend(entries.iter().flat_map(|entry| named(entry, &settings.group_attribute)));
        let is_new = |entry: &Entry| known.insert(normal_dn(&entry.dn));
        members = entries.into_iter().filter(is_new).map(|entry| entry.dn).collect();
    }
    Ok(names)
}

/// The names of a group. One that is not UTF-8 is that of no rule.
fn named(entry: &Entry, attribute: &str) -> Vec<String> {
    entry.values(attribute).filter_map(|name| str::from_utf8(name).ok()).map(str::to_owned).collect()
}
