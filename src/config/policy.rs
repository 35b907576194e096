//! `[policy]`: operations that are switched off for everyone, whatever their rights.

use super::complaint::Complaint;
use super::list::values;
use super::print::{Printer, list, quoted};
use super::section::Section;
use super::words::{Words, word};
use crate::registry::pattern::{Pattern, TagPattern};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Reject every push, mount and deletion. Uploads that have begun may finish.
    pub read_only: bool,
    /// Tags that cannot be overwritten or deleted once they exist.
    pub immutable_tags: Vec<ImmutableTags>,
    /// Whether these include the tags in which clients keep referrers of a manifest where the
    /// registry has no API for that.
    pub immutable_referrers: bool,
    pub catalog: Catalog,
}

/// Tags of some repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImmutableTags {
    /// A pattern without `${user}`.
    pub repositories: Pattern,
    pub tags: TagPattern,
}

/// The repositories that the catalog shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Catalog {
    /// Those that the caller may pull, or all for a caller with the action `catalog`.
    #[default]
    Filtered,
    /// None: the catalog is switched off.
    Off,
}

const CATALOG: Words<Catalog> = &[("filtered", Catalog::Filtered), ("off", Catalog::Off)];

impl Policy {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let read_only = section.flag("read_only", "false");
        let wanted =
            r#"a pattern of repositories, a colon and a pattern of tags, such as "team-a/**:v*" or "**:*""#;
        let immutable_tags =
            values(section.distinct("immutable_tags", "[]", wanted, ImmutableTags::parse, |_| false));
        let immutable_referrers = section.flag("immutable_referrers", "false");
        let catalog = section.word("catalog", r#""filtered""#, CATALOG);
        Some(Self {
            read_only: read_only?,
            immutable_tags: immutable_tags?,
            immutable_referrers: immutable_referrers?,
            catalog: catalog?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { read_only, immutable_tags, immutable_referrers, catalog } = self;
        let tags = immutable_tags
            .iter()
            .map(|ImmutableTags { repositories, tags }| quoted(format_args!("{repositories}:{tags}")));
        to.section("policy");
        to.reloaded("read_only", read_only);
        to.reloaded("immutable_tags", list(tags));
        to.reloaded("immutable_referrers", immutable_referrers);
        to.reloaded("catalog", quoted(word(CATALOG, catalog)));
    }
}

impl ImmutableTags {
    fn parse(text: &str) -> Result<Self, Complaint> {
        let (repositories, tags) = text.rsplit_once(':').ok_or("there is no colon before the tags")?;
        if repositories.contains(':') {
            return Err("there is more than one colon; write the repository without host and port".into());
        }
        let repositories: Pattern = repositories.parse()?;
        if repositories.names_user() {
            return Err("this applies to all users, so ${user} cannot be used here".into());
        }
        Ok(Self { repositories, tags: tags.parse()? })
    }
}
