//! The `WWW-Authenticate` field: RFC 7617 (Basic) and RFC 6750 (Bearer).

use http::HeaderValue;

use super::quoted::quoted;

/// Asks for a user and a password, both in UTF-8 (RFC 7617 section 2.1).
pub(crate) fn basic(realm: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("Basic realm={},charset=\"UTF-8\"", quoted(realm))).ok()
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

    proptest! {
        #[test]
        fn any_text_fits(text: String) {
            prop_assert!(basic(&text).is_some());
            let error = Some((BearerError::InsufficientScope, text.as_str()));
            let bearer = Bearer { realm: &text, service: &text, scope: Some(&text), error };
            prop_assert!(bearer.field().is_some());
        }
    }
}
