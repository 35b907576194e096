//! Finds the entry of a user: by exactly one search, and only if it is the only one.

use tokio::time::Instant;

use super::connection::{Found, SIZE_LIMIT_EXCEEDED};
use super::directory::Directory;
use super::failure::Failure;
use crate::auth::hash::{Fingerprint, fingerprint_of};
use crate::ldap::{Entry, Search, normal_dn};
use crate::user::User;

/// Two tell that one is not the only one.
const MOST: u32 = 2;

/// What identifies an entry for ever, in the order in which they are looked for: OpenLDAP, Active
/// Directory, 389 Directory Server, FreeIPA.
const IDS: [&str; 4] = ["entryUUID", "objectGUID", "nsUniqueId", "ipaUniqueID"];

/// When the password was changed: ppolicy, Active Directory, FreeIPA.
const PASSWORD_CHANGES: [&str; 3] = ["pwdChangedTime", "pwdLastSet", "krbLastPwdChange"];

pub(super) const NO_ENTRY: &str = "there is no such user";
pub(super) const TWO_ENTRIES: &str = "the filter finds two entries";

/// A user of the directory.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) dn: String,
    /// In the directory's spelling.
    pub(super) user: User,
    /// Of the entry and its password.
    pub(super) binding: Fingerprint,
}

/// The account of this name, or why there is none.
pub(super) async fn account(
    directory: &Directory,
    name: &str,
    deadline: Instant,
) -> Result<Result<Account, &'static str>, Failure> {
    let settings = &directory.settings;
    let attributes: Vec<&str> =
        [settings.user_attribute.as_str()].into_iter().chain(IDS).chain(PASSWORD_CHANGES).collect();
    let search = Search {
        base: &settings.base,
        size_limit: MOST,
        time_limit: seconds(deadline),
        filter: settings.filter.of(name, ""),
        attributes: &attributes,
    };
    let Found { entries, outcome } = directory.search(&search, deadline).await?;
    let account = match (entries.as_slice(), outcome.code) {
        ([_, _, ..], SUCCESS | SIZE_LIMIT_EXCEEDED) => Err(TWO_ENTRIES),
        ([entry], SUCCESS) => read(entry, directory),
        // Who is at another server is not here.
        ([], SUCCESS | REFERRAL) => Err(NO_ENTRY),
        _ => {
            let (server, base) = (directory.current(), settings.base.clone());
            return Err(Failure::Search { server, base, outcome });
        }
    };
    Ok(account)
}

pub(super) const SUCCESS: u32 = 0;
pub(super) const REFERRAL: u32 = 10;

/// The time limit of a search that has to be over then.
pub(super) fn seconds(deadline: Instant) -> u32 {
    let left = deadline.saturating_duration_since(Instant::now());
    u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1)
}

fn read(entry: &Entry, directory: &Directory) -> Result<Account, &'static str> {
    let settings = &directory.settings;
    if settings.bind_dn.as_ref().is_some_and(|dn| normal_dn(dn) == normal_dn(&entry.dn)) {
        // Wrong passwords would lock it, and nobody could log in.
        return Err("it is the account that searches");
    }
    if entry.dn.is_empty() {
        return Err("the entry has no DN");
    }
    let mut names = entry.values(&settings.user_attribute);
    let user = match (names.next(), names.next()) {
        (None, _) => return Err("the entry does not show auth.ldap.user_attribute"),
        (Some(_), Some(_)) => return Err("the entry has two values of auth.ldap.user_attribute"),
        (Some(name), None) => User::local(name).ok().filter(|user| user.as_str().is_some()),
    };
    let user = user.ok_or("auth.ldap.user_attribute is not the name of a user")?;
    Ok(Account { dn: entry.dn.clone(), user, binding: binding(entry) })
}

/// Changes when another entry has the name, or the entry another password.
fn binding(entry: &Entry) -> Fingerprint {
    let id = IDS.into_iter().find_map(|id| entry.values(id).next().map(|value| (id, value.to_vec())));
    let (kind, id) = id.unwrap_or_else(|| ("dn", normal_dn(&entry.dn).into_bytes()));
    let changes = PASSWORD_CHANGES.map(|change| entry.values(change).next().unwrap_or_default());
    fingerprint_of([kind.as_bytes(), &id].into_iter().chain(changes))
}
