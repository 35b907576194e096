//! Paged lists: `n` and `last` in the query of a request, `Link` in its response.
//!
//! OCI distribution specification 1.1, "Listing Tags"; the catalog of distribution works the same
//! way.

use form_urlencoded::{Serializer, parse};

/// The requested part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The most entries, if there is a limit.
    pub n: Option<usize>,
    /// The entry before the first one; `None` for the start of the list.
    pub last: Option<String>,
}

/// The `n` of a query is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotANumber;

impl Page {
    /// Reads the query of a request. As in distribution, the first of several values applies, and
    /// an empty value is ignored. A number that is too large for `usize` becomes its maximum.
    pub(crate) fn of(query: &str) -> Result<Page, NotANumber> {
        let first = |wanted| parse(query.as_bytes()).find(|(key, _)| key == wanted).map(|(_, value)| value);
        let n = match first("n").filter(|n| !n.is_empty()) {
            Some(n) if n.bytes().all(|byte| byte.is_ascii_digit()) => Some(n.parse().unwrap_or(usize::MAX)),
            Some(_) => return Err(NotANumber),
            None => None,
        };
        let last = first("last").filter(|last| !last.is_empty());
        Ok(Page { n, last: last.map(String::from) })
    }

    /// The request target for this page of the list at `path`.
    pub(crate) fn target(&self, path: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.last.iter().map(|last| ("last", last)));
        query.extend_pairs(self.n.iter().map(|n| ("n", n.to_string())));
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The `Link` field (RFC 8288) that names this page of the list at `path` as the next one.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("<{}>; rel=\"next\"", self.target(path))
    }
}

/// Whether the value of a `Link` field names a next page.
pub(crate) fn has_next(link: &str) -> bool {
    link.split(',').filter_map(|link| link.rsplit_once('>')).any(|(_, parameters)| {
        let parameters = parameters.to_ascii_lowercase();
        parameters.split(';').any(|parameter| {
            let value = parameter.trim().strip_prefix("rel").and_then(|rest| rest.trim().strip_prefix('='));
            value.is_some_and(|value| value.trim().trim_matches('"').split(' ').any(|kind| kind == "next"))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(n: Option<usize>, last: Option<&str>) -> Page {
        Page { n, last: last.map(str::to_owned) }
    }

    #[test]
    fn queries() {
        for (query, read) in [
            ("", page(None, None)),
            ("n=", page(None, None)),
            ("n=0", page(Some(0), None)),
            ("n=010&last=a", page(Some(10), Some("a"))),
            ("last=team%2Fapp&n=5", page(Some(5), Some("team/app"))),
            ("last=&n=5", page(Some(5), None)),
            ("n=1&n=x", page(Some(1), None)),
            ("%6e=7&N=8&nn=9", page(Some(7), None)),
            ("n=99999999999999999999999", page(Some(usize::MAX), None)),
        ] {
            assert_eq!(Page::of(query), Ok(read), "{query}");
        }
        for query in ["n=x", "n=-1", "n=1.5", "n=%2B5", "n=+5", "n=1%00", "n=%D9%A1"] {
            assert_eq!(Page::of(query), Err(NotANumber), "{query}");
        }
    }

    #[test]
    fn links() {
        assert_eq!(
            page(Some(10), Some("team/app")).link("/v2/_catalog"),
            r#"</v2/_catalog?last=team%2Fapp&n=10>; rel="next""#
        );
        assert_eq!(page(None, None).target("/v2/_catalog"), "/v2/_catalog");
    }

    #[test]
    fn links_that_name_a_next_page() {
        for link in [
            r#"</v2/_catalog?last=a&n=1>; rel="next""#,
            "<https://registry/v2/_catalog?last=a,b>;rel=next",
            r#"</first>; rel="first", </b>; title="x"; REL = "Next last""#,
        ] {
            assert!(has_next(link), "{link}");
        }
        for link in
            ["", "next", r#"</next>; rel="prev""#, r#"<rel="next">"#, "</a>; rel=nexto", "</a>; xrel=next"]
        {
            assert!(!has_next(link), "{link}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(n in any::<Option<usize>>(), last in any::<Option<String>>()) {
            let page = Page { n, last: last.filter(|last| !last.is_empty()) };
            let target = page.target("/v2/_catalog");
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte)));
            let query = target.split_once('?').map_or("", |(_, query)| query);
            prop_assert_eq!(Page::of(query), Ok(page.clone()));
            prop_assert!(has_next(&page.link("/v2/_catalog")));
        }

        #[test]
        fn anything_is_read_without_panic(text in ".*") {
            _ = Page::of(&text);
            has_next(&text);
        }
    }
}
