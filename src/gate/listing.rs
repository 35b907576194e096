//! The registry's lists, read page by page.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::LINK;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;

use super::inquiry::{Inquiry, refused};
use super::reject::Refusal;
use crate::registry::page::{Page, has_next};

/// Entries asked for at once, which is what distribution allows.
pub(super) const MOST_NAMES: usize = 1000;
/// Pages read for one request: a hundred thousand names, also from a registry that gives a hundred at a time.
const MOST_PAGES: usize = 1000;

/// One of the registry's lists: its repositories, or the tags of one.
pub(super) struct Listing<'a> {
    inquiry: &'a Inquiry<'a>,
    path: String,
    /// What the list is called in the body.
    key: &'static str,
    /// The last name read, or the one to begin after.
    last: Option<String>,
    /// The registry has refused to be told how many names it is to give.
    counts_itself: bool,
    pages: usize,
    ended: bool,
}

impl<'a> Listing<'a> {
    /// The names of the repositories after `last`.
    pub(super) fn of_repositories(inquiry: &'a Inquiry<'a>, last: Option<String>) -> Self {
        Self::new(inquiry, "/v2/_catalog".to_owned(), "repositories", last)
    }

    /// The tags of `repository`.
    pub(super) fn of_tags(inquiry: &'a Inquiry<'a>, repository: &str) -> Self {
        Self::new(inquiry, format!("/v2/{repository}/tags/list"), "tags", None)
    }

    fn new(inquiry: &'a Inquiry<'a>, path: String, key: &'static str, last: Option<String>) -> Self {
        Self { inquiry, path, key, last, counts_itself: false, pages: 0, ended: false }
    }

    /// The next names, in the registry's order; about `wanted`, because registries give fewer, and some give all at once. `None`
    /// is the end. Each page brings new names, so that there is an end.
    ///
    /// # Errors
    /// With the registry's own answer, if it is an error and the first.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Option<Vec<String>>, Refusal> {
        if self.ended {
            return Ok(None);
        }
        let is_first = self.pages == 0;
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(self.broken("has no end"));
        }
        let wanted = wanted.min(MOST_NAMES);
        let answer = self.page(wanted).await?;
        if answer.status() != StatusCode::OK {
            return Err(if is_first { refused(answer) } else { self.broken("ended in an error") });
        }
        let mut names =
            read(answer.body(), self.key).ok_or_else(|| self.broken("is not as the API has it"))?;
        let mut links = answer.headers().get_all(LINK).iter();
        let has_next = links.any(|link| link.to_str().is_ok_and(has_next));
        // Not every registry that gives a part of its list says so.
        let is_full = !self.counts_itself && names.len() == wanted;
        // Nor does every registry know `last`.
        let seen = self.last.as_ref().filter(|_| !is_first);
        if let Some(seen) = seen.and_then(|last| names.iter().position(|name| name == last)) {
            names.drain(..=seen);
        }
        match names.last() {
            Some(last) if has_next || is_full => self.last = Some(last.clone()),
            None if has_next => return Err(self.broken("does not go on")),
            _ => self.ended = true,
        }
        Ok(Some(names))
    }

    async fn page(&mut self, wanted: usize) -> Result<Response<Bytes>, Refusal> {
        let answer = self.ask(wanted).await?;
        if answer.status() != StatusCode::BAD_REQUEST || self.counts_itself {
            return Ok(answer);
        }
        self.counts_itself = true;
        self.ask(wanted).await
    }

    async fn ask(&self, wanted: usize) -> Result<Response<Bytes>, Refusal> {
        let page = Page { n: (!self.counts_itself).then_some(wanted), last: self.last.clone() };
        let json = HeaderValue::from_static("application/json");
        self.inquiry.ask(Method::GET, &page.target(&self.path), json).await
    }

    fn broken(&self, how: &str) -> Refusal {
        Refusal::BadGateway(format!("its list {} {how}", self.path))
    }
}

/// The names in a body; a list that is `null` is empty.
fn read(body: &[u8], key: &str) -> Option<Vec<String>> {
    let list = serde_json::from_slice::<HashMap<String, Value>>(body).ok()?.remove(key)?;
    serde_json::from_value::<Option<Vec<String>>>(list).ok().map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let read = |body: &str| read(body.as_bytes(), "tags");
        assert_eq!(read(r#"{"name":"a","tags":["v1","v2"]}"#), Some(vec!["v1".to_owned(), "v2".to_owned()]));
        assert_eq!(read(r#"{"name":"a","tags":null}"#), Some(Vec::new()));
        for body in ["", "[]", "{}", r#"{"repositories":["a"]}"#, r#"{"tags":[1]}"#, r#"{"tags":["a"]"#] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
