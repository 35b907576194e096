//! What clients get to see of a registry whose repositories have other names there: `strip` of a
//! `[[route]]`. No name that only the registry uses leaves tidegate.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, LINK, LOCATION, TRANSFER_ENCODING,
    WARNING, WWW_AUTHENTICATE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;

use super::context::RequestContext;
use super::inquiry::{self, MOST_BYTES};
use super::refusal::Refusal;
use super::reply::{Source, is_url};
use crate::header::challenge;
use crate::header::location::{substitute, targets};
use crate::registry::error::{Code, error_body};
use crate::registry::renaming;
use crate::registry::target::Operation;
use crate::registry::upload_place;

/// Longest body of an error that is read.
const LONGEST_ERROR: usize = 64 << 10;

impl RequestContext<'_> {
    /// The path of the request as the registry knows it.
    pub(super) fn inner_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let renaming = &self.route.renaming;
        let inner = self.target.repository.filter(|_| renaming.is_needed());
        inner.and_then(|_| renaming.inner_path(path)).map_or(Cow::Borrowed(path), Cow::Owned)
    }

    /// Renames in the head of an answer to a request for the path and query `asked`. The registry's
    /// addresses for itself are right already, except for the names in them.
    pub(super) fn rename_head(&self, headers: &mut HeaderMap, asked: &str) {
        if !self.route.renaming.is_needed() {
            return;
        }
        let origin = self.origin();
        for (name, value) in headers.iter_mut() {
            let renamed = if name == LOCATION || name == CONTENT_LOCATION || is_url(value) {
                self.address(value.as_bytes(), &origin, asked)
            } else if name == LINK {
                let field = value.as_bytes();
                substitute(
                    field,
                    targets(field).filter_map(|at| {
                        let new = self.address(field.get(at.clone())?, &origin, asked)?;
                        Some((at, new))
                    }),
                )
            } else if name == WWW_AUTHENTICATE {
                self.challenged(value.as_bytes(), &origin, asked)
            } else if name == WARNING {
                str::from_utf8(value.as_bytes()).ok().and_then(|text| self.text(text)?.try_into().ok())
            } else {
                None
            };
            if let Some(renamed) = renamed {
                *value = renamed;
            }
        }
    }

    /// The address of a repository of the registry, as the client knows it; `None` for any other.
    fn address(&self, address: &[u8], origin: &str, asked: &str) -> Option<HeaderValue> {
        let address = str::from_utf8(address).ok()?;
        let path = match address.strip_prefix(origin) {
            Some(path) if path.starts_with(['/', '?', '#']) => Cow::Borrowed(path),
            // It may be relative to the path that the registry has seen.
            _ => Cow::Owned(upload_place::resolve(asked, address)?),
        };
        let outer = self.route.renaming.outer_path(&path, self.inner_repository());
        if *outer == *path && address.starts_with(['/', 'h', 'H']) {
            return None;
        }
        HeaderValue::try_from(format!("{origin}{outer}")).ok()
    }

    fn challenged(&self, field: &[u8], origin: &str, asked: &str) -> Option<HeaderValue> {
        let parameters = challenge::parameters(field).into_iter();
        substitute(
            field,
            parameters.filter_map(|(name, at)| {
                let value = str::from_utf8(field.get(at.clone())?).ok()?;
                let new = match name.to_ascii_lowercase().as_slice() {
                    b"realm" if value.contains('/') => self.address(value.as_bytes(), origin, asked)?,
                    b"realm" | b"service" => return None,
                    b"scope" => self.route.renaming.outer_scopes(value).try_into().ok()?,
                    _ => self.text(value)?.try_into().ok()?,
                };
                Some((at, new))
            }),
        )
    }

    /// A text of the registry for people; `None` if it may stay as it is.
    fn text(&self, text: &str) -> Option<String> {
        self.route.renaming.text(text, &self.inner_names())
    }

    /// The names that the registry knows of this request.
    fn inner_names(&self) -> Vec<&str> {
        let source = self.mount_source.as_deref().and_then(|source| self.route.renaming.inner(source));
        self.inner_repository().into_iter().chain(source).collect()
    }

    /// Renames in the body of an answer: that of an error, and that of a list of tags. A redirect
    /// loses its body, which repeats the `Location` as it was. Any other passes as it is.
    ///
    /// # Errors
    /// The body cannot be read, or the list is not as the API has it.
    pub(super) async fn renamed(&self, response: Response<Source>) -> Result<Response<Source>, Refusal> {
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        let is_list = self.target.operation == Operation::Tags && status == StatusCode::OK;
        let is_redirect = status.is_redirection() && response.headers().contains_key(LOCATION);
        if !(is_list || is_redirect || is_error && is_json(response.headers())) {
            return Ok(response);
        }
        let (mut head, source) = response.into_parts();
        if is_redirect {
            for of_body in [CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
                head.headers.remove(of_body);
            }
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            return Ok(Response::from_parts(head, Source::from(Bytes::new())));
        }
        if self.log.is_head() {
            // The length is that of the registry's text.
            head.headers.remove(CONTENT_LENGTH);
            return Ok(Response::from_parts(head, source));
        }
        let Source::Answer(answer) = source else { return Ok(Response::from_parts(head, source)) };
        let most = if is_list { MOST_BYTES } else { LONGEST_ERROR };
        if is_error && answer.size_hint().exact().is_some_and(|length| length > most as u64) {
            return Ok(Response::from_parts(head, Source::Answer(answer)));
        }
        let body = if is_list {
            let body = inquiry::read(answer, "its list of tags", most).await?;
            let outer = self.target.repository.unwrap_or_default();
            let list = renaming::tags_of(outer, &body).map(Bytes::from);
            list.ok_or_else(|| Refusal::BadGateway("its list of tags is not as the API has it".to_owned()))?
        } else {
            match inquiry::read(answer, "its error", most).await {
                Ok(body) => self.renamed_error(&head, body),
                Err(_) => error_body(Code::Unknown, "the registry's error cannot be read", None),
            }
        };
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Response::from_parts(head, Source::from(body)))
    }

    /// The body of an answer with the head `head`, which is renamed if it is that of an error.
    pub(super) fn renamed_error(&self, head: &Parts, body: Bytes) -> Bytes {
        let is_error = head.status.is_client_error() || head.status.is_server_error();
        if !is_error || !self.route.renaming.is_needed() {
            return body;
        }
        self.route.renaming.error_body(&body, &self.inner_names()).map_or(body, Bytes::from)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json") || kind.to_ascii_lowercase().ends_with(b"+json")
}
