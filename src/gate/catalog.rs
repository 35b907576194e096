//! The catalog of one caller: the repositories that they may pull, and no trace of the others.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Request, Response};
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::context::RequestContext;
use super::inquiry::Inquiry;
use super::listing::{Listing, MOST_NAMES, Next};
use super::refusal::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use crate::access::{Permit, Rules};
use crate::network::Network;
use crate::registry::name;
use crate::registry::page::{NotANumber, Page};
use crate::state::CatalogPlace;

/// Names in an answer if the request does not say how many, as in distribution.
pub(super) const USUAL_NAMES: usize = 100;
/// Names that are looked up in the rules before other tasks run: a fraction of a millisecond with a
/// hundred rules.
pub(super) const TURN: usize = 100;

/// Longest wait for other requests that have a page of the catalog read.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

/// Answers a request for the catalog with the names that the caller may see. The registry's catalog
/// is read until the page is full and one visible name is left over: that name tells whether a next
/// page exists.
pub(super) async fn filtered<B>(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: &Request<B>,
) -> Result<Response<Source>, Refusal> {
    let page = Page::of(request.uri().query().unwrap_or_default()).map_err(|NotANumber| Refusal::PageSize)?;
    let n = page.n.unwrap_or(USUAL_NAMES).min(MOST_NAMES);
    if n == 0 {
        return respond(Vec::new(), None);
    }
    let rules = &context.state.rules;
    // Some registries start after `last` only if it exists. They must not be asked about a name
    // that the caller may not see.
    let (seen, unseen) = match &page.last {
        Some(last) if is_visible(rules, permit, last) => (Some(last), None),
        last => (None, last.as_ref()),
    };
    let inquiry = Inquiry::new(context, permit, request.headers());
    let mut listing = Listing::of_repositories(&inquiry, seen.cloned());
    let mut repositories = Vec::new();
    // Enough for a caller that may see everything. Any other soon needs as many as there are.
    let mut wanted = n + 1;
    while repositories.len() <= n {
        // For each page anew, so that nobody waits for another's whole catalog.
        let place = place(context, permit).await?;
        let next = listing.next(wanted).await?;
        drop(place);
        let names = match next {
            Next::Names(names) => names,
            Next::End => break,
            Next::Refused(answer) => return Err(without_names(answer)),
        };
        let mut names = visible(rules, permit, names).await;
        if let Some(last) = unseen {
            names.retain(|name| is_after(name, last));
        }
        repositories.append(&mut names);
        // A registry that does not know `last` starts at the beginning.
        if let Some(last) = repositories.iter().position(|name| Some(name) == seen) {
            repositories.drain(..=last);
        }
        wanted = MOST_NAMES;
    }
    let is_last = repositories.len() <= n;
    repositories.truncate(n);
    let last = repositories.last().filter(|_| !is_last).cloned();
    let next = last.map(|last| Page { n: Some(n), last: Some(last) }.link("/v2/_catalog"));
    respond(repositories, next)
}

/// Waits until the registry may read its catalog for this caller.
///
/// # Errors
/// The wait is too long, or too many wait.
pub(super) async fn place(context: &RequestContext<'_>, permit: &Permit) -> Result<CatalogPlace, Refusal> {
    let readers = context.gate.shared.catalog_readers.clone();
    let network = Network::of(context.client.address);
    let entry = readers.enter(permit.identity(), network, context.state.sources.is_some());
    timeout(PATIENCE, entry).await.ok().flatten().ok_or(Refusal::Crowded)
}

async fn visible(rules: &Rules, permit: &Permit, names: Vec<String>) -> Vec<String> {
    let mut visible = Vec::new();
    for (number, name) in (1..).zip(names) {
        if is_visible(rules, permit, &name) {
            visible.push(name);
        }
        if number % TURN == 0 {
            yield_now().await;
        }
    }
    visible
}

fn is_visible(rules: &Rules, permit: &Permit, name: &str) -> bool {
    name::is_repository(name) && permit.sees(rules, name)
}

/// Whether distribution sorts `name` after `last`: a repository comes before those below it, and
/// those before its neighbours.
fn is_after(name: &str, last: &str) -> bool {
    key(name) > key(last)
}

/// Sorts names as distribution does.
pub(super) fn key(name: &str) -> String {
    name.replace('/', "\0")
}

/// The registry's refusal, without the names that an internal error may hold: distribution tells
/// the folder of the repository that it failed at.
pub(super) fn without_names(answer: Response<Bytes>) -> Refusal {
    if answer.status().is_server_error() {
        Refusal::BadGateway(format!("it answered {} to a request for its catalog", answer.status()))
    } else {
        Refusal::Registry(Box::new(answer))
    }
}

pub(super) fn respond(repositories: Vec<String>, next: Option<String>) -> Result<Response<Source>, Refusal> {
    let broken = |error: &dyn std::error::Error| Refusal::BadGateway(format!("its catalog: {error}"));
    let body = serde_json::to_vec(&Catalog { repositories }).map_err(|error| broken(&error))?;
    let mut response = Response::new(Source::from(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(API_VERSION, API_VERSION_VALUE);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(next) = next {
        headers.insert(LINK, HeaderValue::try_from(next).map_err(|error| broken(&error))?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_order_is_that_of_distribution() {
        for (name, last) in [("b", "a"), ("a/b", "a"), ("a-b", "a/z"), ("a/b/c", "a/b")] {
            assert!(is_after(name, last) && !is_after(last, name), "{name} after {last}");
        }
        assert!(!is_after("a", "a"));
    }

    #[test]
    fn an_internal_error_of_the_registry_names_no_repository() {
        let answer = |status: StatusCode| {
            let mut answer = Response::new(Bytes::from_static(b"/var/lib/registry/secret"));
            *answer.status_mut() = status;
            without_names(answer)
        };
        assert!(matches!(answer(StatusCode::INTERNAL_SERVER_ERROR), Refusal::BadGateway(_)));
        assert!(matches!(answer(StatusCode::UNAUTHORIZED), Refusal::Registry(_)));
    }
}
