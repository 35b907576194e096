//! The `WWW-Authenticate` field: RFC 7617 (Basic) and RFC 6750 (Bearer).

use std::ops::Range;

use http::HeaderValue;

use super::quoted::quoted;

/// Asks for a user and a password, both in UTF-8 (RFC 7617 section 2.1).
pub(crate) fn basic(realm: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("Basic realm={},charset=\"UTF-8\"", quoted(realm))).ok()
}

/// The parameters in a `WWW-Authenticate` field: each name, and where its value stands, without the
/// quotes. White space around `=` and a value without quotes are accepted, as clients accept them.
pub(crate) fn parameters(field: &[u8]) -> Vec<(&[u8], Range<usize>)> {
    let find = |start: usize, wanted: &dyn Fn(u8) -> bool| {
        field.iter().skip(start).position(|&byte| wanted(byte)).map_or(field.len(), |at| start + at)
    };
    let is_space = |byte| matches!(byte, b' ' | b'\t');
    let mut found = Vec::new();
    let mut at = find(0, &|byte| matches!(byte, b'=' | b'"'));
    while let Some(byte) = field.get(at) {
        let end = if *byte == b'=' {
            let before = field.get(..at).unwrap_or_default().trim_ascii_end();
            let name = before.rsplit(|&byte| is_space(byte) || byte == b',').next().unwrap_or_default();
            let start = find(at + 1, &|byte| !is_space(byte));
            let is_quoted = field.get(start) == Some(&b'"');
            let value = if is_quoted {
                start + 1..end_of_quoted(field, start)
            } else {
                start..find(start, &|byte| is_space(byte) || byte == b',')
            };
            let end = value.end + usize::from(is_quoted);
            found.push((name, value));
            end
        } else {
            end_of_quoted(field, at) + 1
        };
        at = find(end, &|byte| matches!(byte, b'=' | b'"'));
    }
    found
}

/// Where the quoted string ends that begins at `start`: its second quote, or the end of the field.
fn end_of_quoted(field: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = field.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    field.len()
}

/// Asks for a token.
pub(crate) struct Bearer<'a> {
    /// The URL of the token endpoint.
    pub realm: &'a str,
    pub service: &'a str,
    pub scope: Option<&'a str>,
    /// What is wrong with the token that came, and a sentence for people.
    pub error: Option<(BearerError, &'a str)>,
}

/// The error codes of RFC 6750 section 3.1 that concern a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BearerError {
    InvalidToken,
    /// The token is valid and does not allow the request.
    InsufficientScope,
}

impl BearerError {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

impl Bearer<'_> {
    pub(crate) fn field(&self) -> Option<HeaderValue> {
        let (error, description) = self.error.unzip();
        let parameters = [
            ("realm", Some(self.realm)),
            ("service", Some(self.service)),
            ("scope", self.scope),
            ("error", error.map(BearerError::as_str)),
            ("error_description", description),
        ];
        let written =
            parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", quoted((*value)?))));
        HeaderValue::try_from(format!("Bearer {}", written.collect::<Vec<_>>().join(","))).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_as_clients_read_them() {
        assert_eq!(
            basic("registry.localhost").unwrap(),
            "Basic realm=\"registry.localhost\",charset=\"UTF-8\""
        );
        let realm = "https://localhost/auth/token";
        let bearer = Bearer { realm, service: "localhost", scope: None, error: None };
        assert_eq!(
            bearer.field().unwrap(),
            format!("Bearer realm=\"{realm}\",service=\"localhost\"").as_str()
        );
        let bearer = Bearer {
            scope: Some("repository:a:pull,push"),
            error: Some((BearerError::InvalidToken, "the token has expired")),
            ..bearer
        };
        assert_eq!(
            bearer.field().unwrap(),
            format!(
                "Bearer realm=\"{realm}\",service=\"localhost\",scope=\"repository:a:pull,push\",\
                 error=\"invalid_token\",error_description=\"the token has expired\""
            )
            .as_str()
        );
    }

    #[test]
    fn text_cannot_leave_its_quotes() {
        assert_eq!(basic("a\" b\\\r\n\u{e4}").unwrap(), "Basic realm=\"a\\\" b\\\\\",charset=\"UTF-8\"");
    }

    #[test]
    fn parameters_are_found_however_they_are_written() {
        for (field, expected) in [
            ("Negotiate", &[][..]),
            ("Bearer realm=\"a\",service=\"b c\"", &[("realm", "a"), ("service", "b c")]),
            ("Bearer realm = \"a\" ,\tservice\t=\t\"b\"", &[("realm", "a"), ("service", "b")]),
            ("Bearer REALM=https://a/b?c=d,service=b", &[("REALM", "https://a/b?c=d"), ("service", "b")]),
            ("Basic realm=\"a\", Bearer realm=\"b\"", &[("realm", "a"), ("realm", "b")]),
            (
                r#"Bearer error="realm=\"x\",",text="realm=",realm="a""#,
                &[("error", r#"realm=\"x\","#), ("text", "realm="), ("realm", "a")],
            ),
            (r#"Bearer "realm=", realm="a"#, &[("realm", "a")]),
            (r#"Bearer realm="a\"#, &[("realm", r"a\")]),
        ] {
            let found = parameters(field.as_bytes()).into_iter();
            let found: Vec<_> = found.map(|(name, at)| (str::from_utf8(name).unwrap(), &field[at])).collect();
            assert_eq!(found, expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn parameters_of_any_text_lie_behind_one_another(text in "[a =\",\\\\]{0,20}") {
            let mut last = 0;
            for (_, at) in parameters(text.as_bytes()) {
                prop_assert!(last <= at.start && at.start <= at.end && at.end <= text.len());
                last = at.end;
            }
        }

        #[test]
        fn any_text_fits(text: String) {
            prop_assert!(basic(&text).is_some());
            let error = Some((BearerError::InsufficientScope, text.as_str()));
            let bearer = Bearer { realm: &text, service: &text, scope: Some(&text), error };
            prop_assert!(bearer.field().is_some());
        }
    }
}
