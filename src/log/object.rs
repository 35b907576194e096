//! A JSON object on one line.
//!
//! Written here and not by serde_json, which takes twice as long. A line is part of every request,
//! and it was an eighth of what a small one costs in user space.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use super::text::{MAX_FIELD, acts, clean};

/// A key as it stands in an object: the comma before it, the quotes and the colon after it. Known
/// when the program is compiled, so that all of it is written at once.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use key;

/// A JSON object that is written field by field. Each has a key of [`key!`].
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(1024))
    }

    /// Adds a string. Escapes more than the control characters that JSON forbids: all characters
    /// that a terminal or a line reader acts upon.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        if is_plain(value) {
            return self.plain(key, value);
        }
        self.0.push_str(key);
        self.0.push('"');
        value.chars().for_each(|character| self.escaped(character));
        self.0.push('"');
    }

    /// Adds a string of printable ASCII that has neither quotes nor backslashes.
    pub(super) fn plain(&mut self, key: &str, value: &str) {
        self.0.push_str(key);
        self.0.push('"');
        self.0.push_str(value);
        self.0.push('"');
    }

    /// Adds a string if there is one.
    pub(super) fn text_if_known<T: AsRef<str>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.text(key, value.as_ref());
        }
    }

    /// Adds a text of a client as `safe` leaves it, which is one of [`super::text`]: they change
    /// nothing in a short plain text.
    pub(super) fn client_text(&mut self, key: &str, value: &str, safe: impl Fn(&str) -> Cow<'_, str>) {
        if value.len() <= MAX_FIELD && is_plain(value) {
            self.plain(key, value);
        } else {
            self.text(key, &safe(value));
        }
    }

    /// Adds a text of a client if there is one.
    pub(super) fn client_text_if_known(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.client_text(key, value, clean);
        }
    }

    /// Adds a number of thousandths, with three decimals at most.
    pub(super) fn thousandths(&mut self, key: &str, thousandths: u64) {
        self.integer(key, thousandths / 1000);
        let (mut divisor, mut rest) = (100, thousandths % 1000);
        if rest > 0 {
            self.0.push('.');
        }
        while rest > 0 {
            self.0.push(char::from(b'0' + (rest / divisor) as u8));
            (rest, divisor) = (rest % divisor, divisor / 10);
        }
    }

    /// Adds a string, or `null` if there is none.
    pub(super) fn text_or_null<T: AsRef<str>>(&mut self, key: &str, value: Option<T>) {
        match value {
            Some(value) => self.text(key, value.as_ref()),
            None => self.number(key, "null"),
        }
    }

    /// Adds a finite number, or `null` if there is none.
    pub(super) fn number_or_null(&mut self, key: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.number(key, "null"),
        }
    }

    /// Adds a finite number or a truth value.
    pub(super) fn number(&mut self, key: &str, value: impl Display) {
        self.0.push_str(key);
        let _ = write!(self.0, "{value}");
    }

    /// Adds a whole number, in a tenth of the time.
    pub(super) fn integer(&mut self, key: &str, value: impl itoa::Integer) {
        self.0.push_str(key);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    /// The object, without a line feed.
    pub(super) fn end(mut self) -> String {
        // In place of the comma before the first key.
        self.0.replace_range(..1, "{");
        self.0.push('}');
        self.0
    }

    fn escaped(&mut self, character: char) {
        match character {
            '"' => self.0.push_str("\\\""),
            '\\' => self.0.push_str("\\\\"),
            '\n' => self.0.push_str("\\n"),
            '\r' => self.0.push_str("\\r"),
            '\t' => self.0.push_str("\\t"),
            _ if acts(character) => {
                let _ = write!(self.0, "\\u{:04x}", u32::from(character));
            }
            _ => self.0.push(character),
        }
    }
}

/// Nearly all of a log is. A loop without an early end is the fastest.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all & PLAIN[usize::from(byte)])
}

/// Printable ASCII that is neither escaped nor a sign of what has to be hidden: a query, or the
/// user in a URL.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], b' ');
    while byte <= b'~' {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'?' | b'#' | b'@');
        byte += 1;
    }
    plain
};
