//! Reads the status JSON, in which anything may be missing or unknown, and makes its text safe for
//! a terminal.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The number at a JSON pointer (RFC 6901).
pub(super) fn number(value: &Value, at: &str) -> Option<f64> {
    value.pointer(at)?.as_f64()
}

/// The text at a JSON pointer, safe for a terminal; empty if there is none.
pub(super) fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).map(clean).unwrap_or_default()
}

/// Whether there is `wanted` at a JSON pointer.
pub(super) fn is(value: &Value, at: &str, wanted: bool) -> bool {
    value.pointer(at).and_then(Value::as_bool) == Some(wanted)
}

/// The list at a JSON pointer; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The time at a JSON pointer, in seconds since 1970.
pub(super) fn seconds(value: &Value, at: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(value.pointer(at)?.as_str()?, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos() as f64 / 1e9)
}

/// Escapes everything but ASCII and the Latin, Greek and Cyrillic letters. So nothing acts on the
/// terminal, and each character is one column wide.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{24f}' => out.push(character),
            '\u{370}'..='\u{482}' | '\u{48a}'..='\u{52f}' if character.is_alphabetic() => out.push(character),
            _ => out.extend(character.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_cannot_act_on_the_terminal() {
        for (hostile, shown) in [
            ("a\u{1b}[2Jb", r"a\u{1b}[2Jb"),
            ("a\u{202e}b\u{2066}", r"a\u{202e}b\u{2066}"),
            ("a\r\nb\tc\u{7f}\u{9b}2J", r"a\u{d}\u{a}b\u{9}c\u{7f}\u{9b}2J"),
            ("e\u{301}\u{200d}\u{ad}漢", r"e\u{301}\u{200d}\u{ad}\u{6f22}"),
            ("<b>müller</b> Ωж", "<b>müller</b> Ωж"),
        ] {
            assert_eq!(clean(hostile), shown);
        }
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_nothing() {
        let value = json!({"a": {"b": 1.5}, "c": null, "d": [1], "t": "2026-11-29T15:00:00.500Z"});
        assert_eq!(
            (number(&value, "/a/b"), number(&value, "/c"), number(&value, "/a")),
            (Some(1.5), None, None)
        );
        assert_eq!((text(&value, "/a/b"), text(&value, "/x")), (String::new(), String::new()));
        assert_eq!((list(&value, "/d").len(), list(&value, "/c").len()), (1, 0));
        assert!(!is(&value, "/c", false) && !is(&json!({"c": 1}), "/c", true));
        assert_eq!(seconds(&value, "/t"), Some(1_795_964_400.5));
        assert_eq!(seconds(&value, "/a"), None);
    }
}
