//! `X-Request-Id`, the name of a request in the logs of all programs that it passes.

use http::header::{HeaderMap, HeaderName};

use super::single::single;

/// The field.
pub(crate) const FIELD: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id of a proxy that is taken over.
const LONGEST: usize = 128;

/// The id that a proxy has given the request: the only field of this name, 1 to 128 visible ASCII
/// characters.
pub(crate) fn of(headers: &HeaderMap) -> Option<&str> {
    // `to_str` admits visible ASCII, spaces and tabs.
    let id = single(headers, &FIELD)?.to_str().ok()?;
    let is_visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    (is_visible && (1..=LONGEST).contains(&id.len())).then_some(id)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FIELD, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        of(&headers).map(str::to_owned)
    }

    #[test]
    fn one_id_of_visible_characters() {
        let longest = "x".repeat(LONGEST);
        for id in
            ["1", "f7f0b6a0-5a3f-4f0e-9d4b-5d3f1c2b4a69", "Root=1-67891233-abc;Self=1", "a\"\\<b>", &longest]
        {
            assert_eq!(read(&[id]).as_deref(), Some(id));
        }
        for id in ["", " ", "a b", "a\tb", "ä", &format!("{longest}x")] {
            assert_eq!(read(&[id]), None, "{id:?}");
        }
        assert_eq!(read(&["a", "a"]), None);
        assert_eq!(read(&[]), None);
    }
}
