//! Error bodies of the OCI distribution specification, section "Error Codes".

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::scope::{Resource, Scope};

/// The codes of tidegate's responses. Clients evaluate the code; people read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    /// The client has not proven an identity.
    Unauthorized,
    /// The identity may not do this.
    Denied,
    /// The operation is not offered.
    Unsupported,
    /// The repository name, tag or digest does not fit the grammar.
    NameInvalid,
    /// The name does not exist.
    NameUnknown,
    /// The upload does not exist.
    UploadUnknown,
    /// The requested number of entries is not a number.
    PaginationNumberInvalid,
    /// The body is longer than allowed or declared.
    SizeInvalid,
    /// Try again later, after the time in the response.
    TooManyRequests,
    /// The registry cannot be reached, or tidegate is busy.
    Unavailable,
    /// Everything else.
    Unknown,
}

impl Code {
    /// The code as text, for the body.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::UploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// The body `{"errors":[{"code","message","detail"}]}` with one error, of type `application/json`.
pub(crate) fn error_body(code: Code, message: &str, detail: Option<Value>) -> Bytes {
    let body = Body { errors: [Entry { code: code.as_str(), message, detail }] };
    // Strings and a `Value` always serialize; the fallback keeps this free of a panic.
    serde_json::to_vec(&body)
        .map_or_else(|_| Bytes::from_static(br#"{"errors":[{"code":"UNKNOWN"}]}"#), Bytes::from)
}

/// The `detail` that lists the missing rights, one entry each, as distribution does.
pub(crate) fn detail(missing: &Scope) -> Value {
    let (kind, name) = match &missing.resource {
        Resource::Repository(name) => ("repository", name.as_str()),
        Resource::Catalog => ("registry", "catalog"),
    };
    let entry = |action| json!({"Type": kind, "Class": "", "Name": name, "Action": action});
    missing.rights.names().map(entry).collect()
}

#[derive(Serialize)]
struct Body<'a> {
    errors: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::rights::Rights;

    #[test]
    fn without_detail() {
        assert_eq!(
            error_body(Code::Unauthorized, "authentication required", None),
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#
        );
    }

    #[test]
    fn with_detail() {
        let detail = json!([{"Type": "repository", "Action": "pull"}]);
        let body: Value =
            serde_json::from_slice(&error_body(Code::Denied, "no", Some(detail.clone()))).unwrap();
        assert_eq!(body, json!({"errors": [{"code": "DENIED", "message": "no", "detail": detail}]}));
    }

    #[test]
    fn missing_rights() {
        let entry = |action| json!({"Type": "repository", "Class": "", "Name": "a/b", "Action": action});
        let missing = Scope::repository("a/b", Rights::PULL | Rights::PUSH);
        assert_eq!(detail(&missing), json!([entry("pull"), entry("push")]));
    }

    proptest! {
        #[test]
        fn any_message_comes_back(message in any::<String>()) {
            let body: Value = serde_json::from_slice(&error_body(Code::Unknown, &message, None)).unwrap();
            prop_assert_eq!(body["errors"][0]["message"].as_str(), Some(message.as_str()));
        }
    }
}
