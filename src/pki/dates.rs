//! Dates and durations in messages for the operator.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// Formats a date to the minute, in UTC.
pub(crate) fn date(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    moment.format(format).unwrap_or_else(|_| moment.to_string())
}

/// Formats a duration in the largest unit of which it has at least two.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.whole_seconds();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 2.., _) => format!("{hours} hours"),
        (_, _, minutes @ 2..) => format!("{minutes} minutes"),
        _ => format!("{seconds} seconds"),
    }
}
