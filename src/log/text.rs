//! Text from clients, made safe for a log.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use serde_json::ser::Formatter;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Longest field, in bytes. A longer one is cut and ends in three dots, so that a line stays well
/// below what log collectors accept.
pub(super) const MAX_FIELD: usize = 1024;

/// Replaces user information.
const HIDDEN: &str = "***@";

pub(super) const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
pub(super) const COMMON: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

pub(super) fn timestamp(time: SystemTime, format: &[BorrowedFormatItem<'_>]) -> String {
    // A clock set before 1970 or beyond the year 9999 is shown as 1970.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    time::Duration::try_from(since)
        .ok()
        .and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(format)
        .unwrap_or_default()
}

/// A path without its query and fragment.
pub(super) fn path(path: &str) -> Cow<'_, str> {
    clean(path.split(['?', '#']).next().unwrap_or_default())
}

/// A field of bounded length, without the user information of the URLs in it.
pub(super) fn clean(field: &str) -> Cow<'_, str> {
    let field =
        if field.contains('@') { Cow::Owned(without_user_information(field)) } else { Cow::Borrowed(field) };
    if field.len() <= MAX_FIELD {
        return field;
    }
    let end = field.floor_char_boundary(MAX_FIELD);
    Cow::Owned(format!("{}...", &field[..end]))
}

/// An authority without user information.
pub(super) fn authority(authority: &str) -> Cow<'_, str> {
    match authority.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{HIDDEN}{}", clean(host))),
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

/// Compact JSON that escapes more than the control characters that JSON forbids: all characters
/// that a terminal or a line reader acts upon.
pub(super) struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Nearly all of a log is plain text. A loop without an early end takes many bytes at once.
        if !fragment.bytes().fold(false, |acts, byte| acts | (byte >= 0x7f)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, acting)) = rest.char_indices().find(|&(_, character)| acts(character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(acting))?;
            rest = &rest[at + acting.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Whether this is a control character, a line separator or a mark that changes the direction of
/// text. All of them are below U+10000.
pub(super) fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
