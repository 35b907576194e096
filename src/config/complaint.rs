//! Why a value is rejected.

use std::borrow::Cow;

/// The reason in a message about a value, which also says what was found and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The value has the wrong form. The message needs no reason beside what to write.
    Shape,
    /// The reason, as a clause.
    Because(Cow<'static, str>),
}

impl From<&'static str> for Complaint {
    fn from(reason: &'static str) -> Self {
        Self::Because(reason.into())
    }
}

impl From<String> for Complaint {
    fn from(reason: String) -> Self {
        Self::Because(reason.into())
    }
}
