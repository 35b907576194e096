//! `[metrics]`: which names of repositories become labels.

use super::complaint::Complaint;
use super::list::values;
use super::print::{Printer, list, quoted};
use super::section::Section;
use crate::registry::pattern::Pattern;

/// The label of the repositories that no pattern matches.
const OTHER_REPOSITORIES: &str = "other";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Patterns without `${user}`, none twice. The first that matches a repository is its label.
    pub repositories: Vec<Pattern>,
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = r#"names in which * is anything within one component and ** any number of components, such as "team-a/**""#;
        let repositories = section.distinct("repositories", "[]", wanted, label, |_| false);
        let mut earlier = repositories.iter().flatten();
        if let Some((_, everything)) = earlier.find(|(_, pattern)| pattern.is_everything())
            && let Some((location, pattern)) = earlier.next()
        {
            let message = format!(
                "metrics.repositories: {:?} has no effect, because {:?} before it matches everything; move it up",
                pattern.as_str(),
                everything.as_str()
            );
            section.report.warn(location, message);
        }
        Some(Self { repositories: values(repositories)? })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { repositories } = self;
        to.section("metrics");
        to.reloaded("repositories", list(repositories.iter().map(quoted)));
    }
}

fn label(text: &str) -> Result<Pattern, Complaint> {
    let pattern: Pattern = text.parse()?;
    if pattern.names_user() {
        return Err("a label for each user would be a label that clients choose".into());
    }
    if pattern.as_str() == OTHER_REPOSITORIES {
        return Err("this is the label of the repositories that no pattern matches".into());
    }
    Ok(pattern)
}
