//! Moments and lengths of time, in words for the operator.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// A day and a minute, for a sentence.
pub(crate) fn date(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    moment.format(format).unwrap_or_else(|_| moment.to_string())
}

/// A length of time in the largest unit of which there are at least two.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.whole_seconds();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes @ 2..) => format!("{minutes} minutes"),
        _ => format!("{seconds} seconds"),
    }
}
