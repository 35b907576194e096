//! A record as one line of text: JSON, or Apache's combined format.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::access::{Record, Truncated};

/// Longest field, in bytes; what is longer is cut and ends in three dots. A line of the log stays well below
/// what log collectors take.
const MAX_FIELD: usize = 1024;

/// Stands where user information stood.
const HIDDEN: &str = "***@";

const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const COMMON: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

impl Record {
    /// One JSON object, without a line feed. Absent values are left out; control characters are escaped.
    pub(crate) fn json(&self) -> String {
        let mut line = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, Printable);
        // Numbers and strings always serialize into memory.
        let done = Line::from(self).serialize(&mut serializer);
        debug_assert!(done.is_ok());
        String::from_utf8(line).unwrap_or_default()
    }

    /// One line of Apache's combined format, without a line feed. Control characters, quotes and backslashes
    /// are escaped as Apache does; there is never a referrer.
    pub(crate) fn combined(&self) -> String {
        let user = match self.user.as_deref() {
            None => Cow::Borrowed("-"),
            Some("") => Cow::Borrowed("\"\""),
            // A space would move all fields behind it.
            Some(user) => Cow::Owned(escaped(&clean(user)).replace(' ', "\\x20")),
        };
        let mut line = String::with_capacity(256);
        // Writing to a String does not fail.
        let _ = write!(
            line,
            "{client} - {user} [{time}] \"{method} {path} {version:?}\" {status} ",
            client = self.client,
            time = timestamp(self.time, COMMON),
            method = escaped(&clean(&self.method)),
            path = escaped(&path(&self.path)),
            version = self.version,
            status = self.status,
        );
        match self.bytes_out {
            0 => line.push('-'),
            bytes => line.push_str(&bytes.to_string()),
        }
        let agent = match self.user_agent.as_str() {
            "" => Cow::Borrowed("-"),
            agent => Cow::Owned(escaped(&clean(agent))),
        };
        let _ = write!(line, " \"-\" \"{agent}\"");
        line
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: Cow<'a, str>,
    peer: IpAddr,
    client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Cow<'a, str>>,
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
    #[serde(serialize_with = "protocol")]
    protocol: http::Version,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Cow<'a, str>>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> From<&'a Record> for Line<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            time: timestamp(record.time, RFC_3339),
            id: clean(&record.id),
            peer: record.peer,
            client: record.client,
            user: record.user.as_deref().map(clean),
            claimed: record.claimed.as_deref().map(clean),
            certificate: record.certificate.as_deref().map(clean),
            method: clean(&record.method),
            host: authority(&record.host),
            path: path(&record.path),
            protocol: record.version,
            operation: record.operation,
            repository: record.repository.as_deref().map(clean),
            reference: record.reference.as_deref().map(clean),
            status: record.status,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            duration_ms: milliseconds(record.duration),
            first_byte_ms: record.first_byte.map(milliseconds),
            upstream: record.upstream.as_deref().map(authority),
            user_agent: clean(&record.user_agent),
            cut: record.truncated.map(|truncated| match truncated {
                Truncated::Client => "client",
                Truncated::Upstream => "upstream",
            }),
            reason: record.reason,
        }
    }
}

fn protocol<S: Serializer>(version: &http::Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{version:?}"))
}

/// Milliseconds with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn timestamp(time: SystemTime, format: &[BorrowedFormatItem<'_>]) -> String {
    // A clock set before 1970 or beyond the year 9999 is shown as 1970.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    time::Duration::try_from(since)
        .ok()
        .and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(format)
        .unwrap_or_default()
}

/// A path without query and fragment, should the caller have left them on.
fn path(path: &str) -> Cow<'_, str> {
    clean(path.split(['?', '#']).next().unwrap_or_default())
}

/// A field of bounded length without the user information of any URL in it.
fn clean(field: &str) -> Cow<'_, str> {
    let field =
        if field.contains('@') { Cow::Owned(without_user_information(field)) } else { Cow::Borrowed(field) };
    if field.len() <= MAX_FIELD {
        return field;
    }
    let end = field.floor_char_boundary(MAX_FIELD);
    Cow::Owned(format!("{}...", &field[..end]))
}

/// An authority without user information.
fn authority(authority: &str) -> Cow<'_, str> {
    match authority.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{HIDDEN}{}", clean(host))),
        None => clean(authority),
    }
}

/// Hides what stands between `//` and the last `@` of the same word: user information, also where a password
/// with a slash in it hides the end of the authority.
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

/// Escapes as Apache's log does: a backslash before quote and backslash, and hexadecimal for what is no
/// printable ASCII.
fn escaped(field: &str) -> String {
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

/// Compact JSON that also escapes what a terminal or a line reader would act upon, beyond the control
/// characters that JSON itself forbids.
struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // The plain text that nearly all of a log is.
        if fragment.bytes().all(|byte| byte < 0x7f) {
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

/// Control characters, line separators and the marks that turn the direction of text; none is above U+FFFF.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
