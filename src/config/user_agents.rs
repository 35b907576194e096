//! `[user_agents]`: clients that are too old for a v2 registry.

use http::StatusCode;
use regex::bytes::Regex;

use super::expression::regex;
use super::list::{Separator, values};
use super::print::{Printer, list, quoted};
use super::section::Section;
use super::values::status;

#[derive(Clone, Debug)]
pub struct UserAgents {
    /// A client is rejected if one of these matches and none of `allow` does.
    pub deny: Vec<Regex>,
    /// The exceptions from `deny`.
    pub allow: Vec<Regex>,
    /// The status of the rejection: a 4xx.
    pub status: StatusCode,
}

impl PartialEq for UserAgents {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &[Regex], b: &[Regex]| a.iter().map(Regex::as_str).eq(b.iter().map(Regex::as_str));
        let Self { deny, allow, status } = self;
        same(deny, &other.deny) && same(allow, &other.allow) && *status == other.status
    }
}

impl Eq for UserAgents {}

impl UserAgents {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = r"a regular expression in single quotes, such as '^docker/1\.[345]'";
        let mut expressions =
            |key, default| values(section.list(key, default, Separator::Newline, wanted, regex));
        let deny = expressions("deny", r"['^docker/1\.[345]', '^Go ']");
        let allow = expressions("allow", r"['^docker/1\.5\.[0-9]-dev']");
        let answer = section.number("status", "404", 400..=499);
        Some(Self { deny: deny?, allow: allow?, status: status(answer?)? })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { deny, allow, status } = self;
        to.section("user_agents");
        to.reloaded("deny", list(deny.iter().map(quoted)));
        to.reloaded("allow", list(allow.iter().map(quoted)));
        to.reloaded("status", status.as_u16());
    }
}
