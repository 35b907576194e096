//! A record as one line of text: JSON, or Apache's combined format.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use super::record::Record;
use super::text::{COMMON, Printable, clean, escaped, path, timestamp};

impl Record {
    /// One JSON object, without a line feed. Unknown values are left out; control characters are
    /// escaped.
    pub(crate) fn json(&self) -> String {
        let mut line = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::with_formatter(&mut line, Printable);
        // Numbers and strings always serialize.
        let done = self.serialize(&mut serializer);
        debug_assert!(done.is_ok());
        String::from_utf8(line).unwrap_or_default()
    }

    /// One line of Apache's combined format, without a line feed and always without a referrer.
    /// Control characters, quotes and backslashes are escaped as Apache does.
    pub(crate) fn combined(&self) -> String {
        let user = match self.user.as_deref() {
            None => Cow::Borrowed("-"),
            Some("") => Cow::Borrowed("\"\""),
            // A space would shift all fields after it.
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

#[cfg(test)]
mod tests;
