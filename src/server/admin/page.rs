//! The status page and its content security policy.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderValue;

const FILE: &str = include_str!("page.html");

/// The page, and the policy that allows its own style and script and nothing else.
pub(super) struct Page {
    pub(super) html: Bytes,
    pub(super) policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        // The policy is ASCII, so it always is a field.
        let policy = HeaderValue::try_from(policy(FILE))
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { html: Bytes::from_static(FILE.as_bytes()), policy }
    }
}

/// The policy for a page with these inline elements.
fn policy(page: &str) -> String {
    format!(
        "default-src 'none'; style-src{}; script-src{}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        sources(page, "style"),
        sources(page, "script")
    )
}

/// The hash of the text of each element of this name; `'none'` without any.
fn sources(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let texts = page.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0));
    let hashes: String = texts
        .map(|text| format!(" 'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()))))
        .collect();
    if hashes.is_empty() { " 'none'".to_owned() } else { hashes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_hash_of_each_element() {
        // printf abc | openssl dgst -sha256 -binary | base64
        let hash = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        let policy = policy("<style>abc</style><p>x</p><script>abc</script><script></script>");
        assert!(policy.contains(&format!("style-src 'sha256-{hash}';")), "{policy}");
        assert!(policy.contains(&format!("script-src 'sha256-{hash}' 'sha256-47DEQ")), "{policy}");
    }

    #[test]
    fn the_page_has_no_element_that_the_policy_would_not_know() {
        for name in ["style", "script"] {
            assert_eq!(FILE.matches(&format!("<{name}")).count(), FILE.matches(&format!("<{name}>")).count());
        }
        assert!(!FILE.contains(" style="), "the policy allows no style attributes");
        assert!(!FILE.contains(" onclick=") && !FILE.contains("javascript:"));
        assert!(policy(FILE).is_ascii());
    }
}
