//! Text from clients, made safe for a log.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Longest field, in bytes. A longer one is cut and ends in three dots, so that a line stays well
/// below what log collectors accept.
pub(super) const MAX_FIELD: usize = 1024;

/// Replaces user information.
const HIDDEN: &str = "***@";

const COMMON: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// A time as in Apache's logs.
pub(super) fn common(time: SystemTime) -> String {
    utc(time).format(COMMON).unwrap_or_default()
}

/// A time as RFC 3339 shows it, in UTC and with milliseconds.
pub(crate) fn rfc_3339(time: SystemTime) -> String {
    let time = utc(time);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milli) = time.to_hms_milli();
    let mut text = *b"0000-00-00T00:00:00.000Z";
    // `utc` ends with the year 9999. Formatting each number would take ten times as long.
    let year = u16::try_from(year).unwrap_or_default();
    let (century, year) = ((year / 100) as u8, (year % 100) as u8);
    let hundredths = (milli % 100) as u8;
    text[20] += (milli / 100) as u8;
    for (place, number) in [
        (0, century),
        (2, year),
        (5, month.into()),
        (8, day),
        (11, hour),
        (14, minute),
        (17, second),
        (21, hundredths),
    ] {
        text[place] += number / 10;
        text[place + 1] += number % 10;
    }
    str::from_utf8(&text).unwrap_or_default().to_owned()
}

fn utc(time: SystemTime) -> OffsetDateTime {
    // A clock set before 1970 or beyond the year 9999 is shown as 1970.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = time::Duration::try_from(since).ok();
    since
        .and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Rounded to the nearest.
pub(super) fn microseconds(duration: Duration) -> u64 {
    let fraction = (duration.subsec_nanos() + 500) / 1000;
    duration.as_secs().saturating_mul(1_000_000).saturating_add(fraction.into())
}

/// A path without its query and fragment.
pub(super) fn path(path: &str) -> Cow<'_, str> {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    clean(end.map_or(path, |end| &path[..end]))
}

/// A field of bounded length, without the user information of the URLs in it.
pub(super) fn clean(field: &str) -> Cow<'_, str> {
    let has_users = field.as_bytes().contains(&b'@');
    let field = if has_users { Cow::Owned(without_user_information(field)) } else { Cow::Borrowed(field) };
    if field.len() <= MAX_FIELD {
        return field;
    }
    let end = field.floor_char_boundary(MAX_FIELD);
    Cow::Owned(format!("{}...", &field[..end]))
}

/// An authority without user information.
pub(super) fn authority(authority: &str) -> Cow<'_, str> {
    match authority.bytes().rposition(|byte| byte == b'@') {
        Some(at) => Cow::Owned(format!("{HIDDEN}{}", clean(&authority[at + 1..]))),
        None => clean(authority),
    }
}

/// Hides the text between `//` and the last `@` of the same word: user information, even if a slash
/// in the password seems to end the authority.
fn without_user_information(field: &str) -> String {
    let words = field.split_inclusive(char::is_whitespace).map(|word| {
        let hidden = word.split_once("//").and_then(|(scheme, rest)| {
            let (_, rest) = rest.rsplit_once('@')?;
            Some(format!("{scheme}//{HIDDEN}{rest}"))
        });
        hidden.map_or(Cow::Borrowed(word), Cow::Owned)
    });
    words.collect()
}

/// Escapes as Apache's log does: a backslash before quotes and backslashes, `\x` and two hex digits
/// for bytes that are not printable ASCII.
pub(super) fn escaped(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    for byte in field.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// Whether this is a control character, a line separator or a mark that changes the direction of
/// text. All of them are below U+10000.
pub(super) fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
