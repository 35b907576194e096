//! `[policy]`: from what is written to what is meant.

use super::file::{distinct, values};
use super::section::Section;
use super::settings::{ImmutableTags, Policy};
use super::words;
use crate::registry::pattern::Pattern;

/// `[policy]`.
pub(super) fn policy(section: &mut Section<'_, '_>) -> Option<Policy> {
    let read_only = section.flag("read_only");
    let wanted =
        r#"a pattern of repositories, a colon and a pattern of tags, such as "team-a/**:v*" or "**:*""#;
    let immutable_tags = values(distinct(section, "immutable_tags", wanted, immutable, |_| false));
    let catalog = section.word("catalog", words::CATALOG);
    Some(Policy { read_only: read_only?, immutable_tags: immutable_tags?, catalog: catalog? })
}

fn immutable(text: &str) -> Result<ImmutableTags, String> {
    let Some((repositories, tags)) = text.rsplit_once(':') else {
        return Err("there is no colon before the tags".to_owned());
    };
    let repositories: Pattern = repositories.parse()?;
    if repositories.names_user() {
        return Err("this is the same for all users, so ${user} has no place here".to_owned());
    }
    Ok(ImmutableTags { repositories, tags: tags.parse()? })
}
