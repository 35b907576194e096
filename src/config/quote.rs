//! Quotes values for messages and for TOML.

use toml::de::DeValue;

const LONGEST: usize = 80;

/// Quotes a value for a message: as [`shown`] has it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// A value for a message: on one line, shortened, without the user and password of a URL.
pub(super) fn shown(text: &str) -> String {
    let public = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}...{}", &text[..scheme + 3], &text[at..]),
        (None, Some(at)) if text[..at].contains(':') => format!("...{}", &text[at..]),
        _ => text.to_owned(),
    };
    let mut shown = String::new();
    for (index, c) in public.chars().enumerate() {
        if index == LONGEST {
            shown.push_str("...");
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Describes a TOML value for a message.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        // The parser keeps control characters in a malformed number.
        DeValue::Integer(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shown(&number.to_string())),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A TOML string that parses to `text`: literal if that is easier to read, else basic.
pub(super) fn toml_string(text: &str) -> String {
    let plain = !text.chars().any(|c| c.is_control() || c == '\'');
    if plain && text.contains(['\\', '"']) {
        return format!("'{text}'");
    }
    let mut basic = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => basic.extend(['\\', c]),
            c if c.is_control() => basic.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => basic.push(c),
        }
    }
    basic.push('"');
    basic
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_hold_no_password_and_no_line_break() {
        assert_eq!(quoted("http://user:pw@host:5000"), r#""http://...@host:5000""#);
        assert_eq!(quoted("user:pw@host"), r#""...@host""#);
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(r"^\d"), r#""^\d""#);
        assert_eq!(quoted(&"x".repeat(500)).len(), LONGEST + 5);
    }

    proptest! {
        #[test]
        fn toml_strings_read_as_written(text in ".{0,40}|[\\\\'\"\n\t\u{0}-\u{1f}\u{7f}]{0,10}") {
            let written = toml_string(&text);
            let value = DeValue::parse(&written).unwrap();
            prop_assert_eq!(value.get_ref().as_str(), Some(text.as_str()));
        }

        #[test]
        fn any_text_is_quoted_without_panic(text in "[a-z:/@ü\n]{0,20}") {
            prop_assert!(!quoted(&text).contains('\n'));
        }
    }
}
