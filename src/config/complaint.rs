//! Why a value is refused.

use std::borrow::Cow;

/// Completes the message about a value: what was found, why it is wrong, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The value is not of the kind that the key takes; what to write says enough.
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
