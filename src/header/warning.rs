//! The `Warning` field by which a refused HEAD tells its reason: section "Warnings" of the OCI
//! distribution specification.

use http::HeaderValue;

use super::quoted::quoted;

/// Characters of the text; the specification allows 4,096 bytes in all fields together.
const LONGEST: usize = 500;

/// `299 - "text"`. What is too long is cut. Control characters are left out, and any other
/// character that is not ASCII is a question mark: without it, a name would look like another.
pub(crate) fn warning(text: &str) -> Option<HeaderValue> {
    let text: String =
        text.chars().take(LONGEST).map(|char| if char.is_ascii() { char } else { '?' }).collect();
    HeaderValue::try_from(format!("299 - {}", quoted(&text))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_quoted() {
        assert_eq!(warning("say \"no\"\r\n\\").unwrap(), r#"299 - "say \"no\"\\""#);
    }

    #[test]
    fn a_name_with_other_letters_does_not_look_like_another_name() {
        assert_eq!(warning("no m\u{fc}ller").unwrap(), r#"299 - "no m?ller""#);
    }

    proptest! {
        #[test]
        fn any_text_fits(text: String) {
            prop_assert!(warning(&text.repeat(100)).unwrap().len() <= 2 * LONGEST + 8);
        }
    }
}
