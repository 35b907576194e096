//! The registry's lists, read page by page.

use std::collections::HashMap;

use bytes::Bytes;
use http::header::LINK;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;

use super::inquiry::{Inquiry, RegistryAnswer};
use super::refusal::Refusal;
use crate::registry::page::{Page, has_next};

/// Names asked for at once: the most that distribution allows.
pub(super) const MOST_NAMES: usize = 1000;
/// Pages read for one request: a hundred thousand names, even from a registry that sends a hundred
/// at a time.
const MOST_PAGES: usize = 1000;

/// One of the registry's lists: its repositories, or the tags of one.
pub(super) struct Listing<'a> {
    inquiry: &'a Inquiry<'a>,
    path: String,
    /// The key of the list in the body.
    key: &'static str,
    /// The last name read, or the one to start after.
    last: Option<String>,
    /// The registry has refused a request that says how many names it should send.
    ignores_n: bool,
    pages: usize,
    ended: bool,
}

/// A step through a list.
pub(super) enum Next {
    Names(Vec<String>),
    End,
    /// The registry's answer to the first question is an error.
    Refused(Response<Bytes>),
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
        Self { inquiry, path, key, last, ignores_n: false, pages: 0, ended: false }
    }

    /// The next names, in the registry's order. There are about `wanted` of them: registries send
    /// fewer, and some send all at once. Each page brings new names, so that every list ends.
    ///
    /// # Errors
    /// The list cannot be read to its end.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Next, Refusal> {
        if self.ended {
            return Ok(Next::End);
        }
        let is_first = self.pages == 0;
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(self.broken("has no end"));
        }
        let wanted = wanted.min(MOST_NAMES);
        let answer = match self.page(wanted).await? {
            RegistryAnswer::Ok(answer) => answer,
            RegistryAnswer::Refused(answer) if is_first => return Ok(Next::Refused(answer)),
            RegistryAnswer::Refused(_) => return Err(self.broken("ended in an error")),
        };
        let mut names =
            read(answer.body(), self.key).ok_or_else(|| self.broken("is not as the API has it"))?;
        let mut links = answer.headers().get_all(LINK).iter();
        let has_next = links.any(|link| link.to_str().is_ok_and(has_next));
        // Not every registry that sends a part of its list says so.
        let is_full = !self.ignores_n && names.len() == wanted;
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
        Ok(Next::Names(names))
    }

    async fn page(&mut self, wanted: usize) -> Result<RegistryAnswer, Refusal> {
        match self.ask(wanted).await? {
            RegistryAnswer::Refused(answer)
                if answer.status() == StatusCode::BAD_REQUEST && !self.ignores_n =>
            {
                self.ignores_n = true;
                self.ask(wanted).await
            }
            answer => Ok(answer),
        }
    }

    async fn ask(&self, wanted: usize) -> Result<RegistryAnswer, Refusal> {
        let page = Page { n: (!self.ignores_n).then_some(wanted), last: self.last.clone() };
        let json = HeaderValue::from_static("application/json");
        self.inquiry.ask(Method::GET, &page.target(&self.path), json).await
    }

    fn broken(&self, how: &str) -> Refusal {
        Refusal::BadGateway(format!("its list {} {how}", self.path))
    }
}

/// The names in a body. A list that is `null` is empty.
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
