//! The catalog of one caller: the repositories that he may pull, and no trace of the others.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Request, Response};
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::RequestContext;
use super::inquiry::Inquiry;
use super::listing::{Listing, MOST_NAMES};
use super::reject::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use super::request_log::RequestLog;
use crate::access::Permit;
use crate::registry::name;
use crate::registry::page::{NoNumber, Page};

/// Names in an answer, when the request does not say, as in distribution.
const USUAL_NAMES: usize = 100;
/// Names that are looked up in the rules before the core does something else: with a hundred rules a fraction of a millisecond.
const TURN: usize = 100;

/// Longest wait for others who have the catalog read.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

/// Answers a request for the catalog with what its sender may see. More is read from the registry until the answer is full and
/// one name is left over: whether another page follows is told by that name, which may be far.
pub(super) async fn filtered<B>(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: &Request<B>,
    log: &mut RequestLog,
) -> Result<Response<Source>, Refusal> {
    let page = Page::of(request.uri().query().unwrap_or_default()).map_err(|NoNumber| Refusal::PageSize)?;
    let n = page.n.unwrap_or(USUAL_NAMES).min(MOST_NAMES);
    if n == 0 {
        return respond(Vec::new(), None);
    }
    // Some registries begin after `last` only if it exists, so one that may not be seen is none of theirs to be asked about.
    let (seen, unseen) = match &page.last {
        Some(last) if is_visible(context, permit, last) => (Some(last), None),
        last => (None, last.as_ref()),
    };
    let _place = timeout(PATIENCE, context.gate.shared.catalog_readers.acquire())
        .await
        .map_err(|_| Refusal::Crowded)?;
    let inquiry = Inquiry::new(context, permit, request.headers(), log);
    let mut listing = Listing::of_repositories(&inquiry, seen.cloned());
    let mut repositories = Vec::new();
    // Enough for who may see everything. Who may not soon needs as many as there are.
    let mut wanted = n + 1;
    while repositories.len() <= n
        && let Some(names) = listing.next(wanted).await.map_err(without_names)?
    {
        let mut names = visible(context, permit, names).await;
        if let Some(last) = unseen {
            names.retain(|name| is_after(name, last));
        }
        repositories.append(&mut names);
        // A registry that does not know `last` begins at the beginning.
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

async fn visible(context: &RequestContext<'_>, permit: &Permit, names: Vec<String>) -> Vec<String> {
    let mut visible = Vec::new();
    for (number, name) in (1..).zip(names) {
        if is_visible(context, permit, &name) {
            visible.push(name);
        }
        if number % TURN == 0 {
            yield_now().await;
        }
    }
    visible
}

fn is_visible(context: &RequestContext<'_>, permit: &Permit, name: &str) -> bool {
    name::is_repository(name) && permit.sees(&context.state.rules, name)
}

/// As distribution sorts: a repository comes before those below it, and those before its neighbours.
fn is_after(name: &str, last: &str) -> bool {
    let key = |name: &str| name.replace('/', "\0");
    key(name) > key(last)
}

/// When a registry fails it tells where: distribution names the folder of the repository that it came to.
fn without_names(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Registry(answer) if answer.status().is_server_error() => {
            Refusal::BadGateway(format!("it answered {} to a request for its catalog", answer.status()))
        }
        refusal => refusal,
    }
}

fn respond(repositories: Vec<String>, next: Option<String>) -> Result<Response<Source>, Refusal> {
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
