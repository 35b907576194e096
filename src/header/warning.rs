//! The `Warning` field by which a refused HEAD tells its reason: section "Warnings" of the OCI
//! distribution specification.

use http::HeaderValue;

use super::quoted::quoted;

/// Characters of the text; the specification allows 4,096 bytes in all fields together.
const LONGEST: usize = 500;

/// `299 - "text"`. Characters other than printable ASCII are left out, and what is too long is cut.
pub(crate) fn warning(text: &str) -> Option<HeaderValue> {
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(end, _)| end);
    HeaderValue::try_from(format!("299 - {}", quoted(text.get(..end)?))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_quoted() {
        assert_eq!(warning("say \"no\"\r\n\u{e4}\\").unwrap(), r#"299 - "say \"no\"\\""#);
    }

    proptest! {
        #[test]
        fn any_text_fits(text: String) {
            prop_assert!(warning(&text.repeat(100)).unwrap().len() <= 2 * LONGEST + 8);
        }
    }
}
