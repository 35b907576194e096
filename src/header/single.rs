//! Fields that a message may have only once.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The value of a field that occurs exactly once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use http::header::ORIGIN;

    use super::*;

    #[test]
    fn a_field_that_is_repeated_has_no_single_value() {
        let mut headers = HeaderMap::new();
        assert_eq!(single(&headers, &ORIGIN), None);
        let value = HeaderValue::from_static("a");
        headers.append(ORIGIN, value.clone());
        assert_eq!(single(&headers, &ORIGIN), Some(&value));
        headers.append(ORIGIN, value);
        assert_eq!(single(&headers, &ORIGIN), None);
    }
}
