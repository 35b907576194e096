//! `[cors]`: web pages of other origins that may use the registry.

use super::complaint::Complaint;
use super::list::values;
use super::print::{Printer, list, quoted};
use super::section::Section;
use crate::header::origin::Origin;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// The origins whose pages may read answers. Empty switches all of it off.
    pub(crate) origins: Vec<Allowed>,
}

/// An entry of `cors.origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// `*`: every origin, without the credentials that the browser keeps.
    Any,
    /// This origin, with credentials.
    Origin(Origin),
}

impl Cors {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = r#"the origin of a page, such as "https://ui.example.com", or "*""#;
        let origins = values(section.distinct("origins", "[]", wanted, Allowed::parse, |_| false));
        Some(Self { origins: origins? })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { origins } = self;
        let origins = origins.iter().map(|allowed| match allowed {
            Allowed::Any => quoted("*"),
            Allowed::Origin(origin) => quoted(origin),
        });
        to.section("cors");
        to.reloaded("origins", list(origins));
    }
}

impl Allowed {
    fn parse(text: &str) -> Result<Self, Complaint> {
        match text {
            "*" => Ok(Self::Any),
            text => Origin::parse(text).map(Self::Origin).map_err(|bad| bad.to_string().into()),
        }
    }
}
