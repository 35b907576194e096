//! `policy.immutable_tags`: once such a tag exists, it is neither overwritten nor deleted, nor is
//! anything deleted that it needs.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::Value;

use super::context::RequestContext;
use super::early_body;
use super::immutable_tags::ImmutableTags;
use super::needed;
use super::refusal::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use crate::access::Permit;
use crate::body::UnreadBody;
use crate::registry::digest;
use crate::registry::name;
use crate::registry::target::Operation;
use crate::state::TagLock;

/// Tells the client that the registry lists the manifest as a referrer (OCI distribution
/// specification 1.1, "Pushing Manifests with Subject").
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// What becomes of a request as far as immutable tags are concerned.
pub(super) enum Verdict {
    /// It is forwarded. Hold the locks until the registry has answered: meanwhile another push of
    /// the same new tag would not see it either.
    Forward(Vec<TagLock>),
    /// It would change nothing, and this is its answer.
    Done(Box<Response<Source>>),
}

/// Refuses to overwrite or delete an immutable tag that exists, or what it needs.
pub(super) async fn guard(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: &mut Request<UnreadBody>,
) -> Result<Verdict, Refusal> {
    let target = context.target;
    let (Some(repository), Some(reference)) = (target.repository, target.reference) else {
        return Ok(Verdict::Forward(Vec::new()));
    };
    let is_put = target.operation == Operation::ManifestPut;
    if !is_put && !matches!(target.operation, Operation::ManifestDelete | Operation::BlobDelete) {
        return Ok(Verdict::Forward(Vec::new()));
    }
    let Some(tags) = ImmutableTags::of(context, permit, request.headers(), repository) else {
        return Ok(Verdict::Forward(Vec::new()));
    };
    if is_put {
        Box::pin(push(context, &tags, reference, request)).await
    } else if name::is_digest(reference) {
        Box::pin(needed::check(&tags, reference, target.operation)).await?;
        Ok(Verdict::Forward(Vec::new()))
    } else {
        Box::pin(delete(&tags, reference)).await.map(Verdict::Forward)
    }
}

async fn delete(tags: &ImmutableTags<'_>, tag: &str) -> Result<Vec<TagLock>, Refusal> {
    if !tags.contain(tag) {
        return Ok(Vec::new());
    }
    let (lock, found) = tags.lock(tag, async || tags.find(tag).await).await?;
    match found {
        Some(_) => Err(Refusal::Immutable(format!(
            "tag {tag} of {} exists and is immutable; it cannot be deleted",
            tags.repository
        ))),
        None => Ok(vec![lock]),
    }
}

/// Locks the immutable tags of a push. Those that exist must have the same manifest.
///
/// The manifest is read as a whole before the registry is asked anything. It is then sent at once,
/// so a client that leaves cannot leave half a push behind.
async fn push(
    context: &RequestContext<'_>,
    tags: &ImmutableTags<'_>,
    reference: &str,
    request: &mut Request<UnreadBody>,
) -> Result<Verdict, Refusal> {
    let named = pushed(reference, request.uri().query().unwrap_or_default());
    if !named.iter().any(|tag| tags.contain(tag)) {
        return Ok(Verdict::Forward(Vec::new()));
    }
    let manifest = early_body::whole(context, request).await?;
    let mut locks = Vec::new();
    let mut there = Vec::new();
    for tag in named.iter().filter(|tag| tags.contain(tag)) {
        if locks.len() == ImmutableTags::MOST {
            let message = format!("more than {} immutable tags at once", ImmutableTags::MOST);
            return Err(Refusal::Immutable(message));
        }
        let (lock, found) = tags.lock(tag, async || tags.has(tag, &manifest).await).await?;
        locks.push(lock);
        match found {
            None => {}
            Some(Some(digest)) => there.push(digest),
            Some(None) => {
                return Err(Refusal::Immutable(format!(
                    "tag {tag} of {} exists with other content and is immutable; push another tag",
                    tags.repository
                )));
            }
        }
    }
    let is_named_rightly = name::is_tag(reference) || digest::is_of(reference, &manifest) == Some(true);
    match there.pop() {
        // None was pushed under another name.
        Some(digest) if there.len() + 1 == named.len() && is_named_rightly => {
            context.log.reason("the immutable tag has this manifest already; nothing was forwarded");
            done(context, tags, digest, &manifest).await.map(|answer| Verdict::Done(Box::new(answer)))
        }
        _ => Ok(Verdict::Forward(locks)),
    }
}

/// The tags that a push sets: the reference, and those in the query, which newer registries accept
/// beside a digest (OCI distribution specification 1.2, "Pushing Manifests").
pub(super) fn pushed(reference: &str, query: &str) -> BTreeSet<String> {
    // Some registries take a semicolon for a separator, as Go did until 2021.
    let pairs = query.split(';').flat_map(|part| form_urlencoded::parse(part.as_bytes()));
    let tags = pairs.filter(|(key, _)| key == "tag").map(|(_, tag)| tag.into_owned());
    tags.chain([reference.to_owned()]).filter(|tag| name::is_tag(tag)).collect()
}

/// The answer that the registry gives to a push.
async fn done(
    context: &RequestContext<'_>,
    tags: &ImmutableTags<'_>,
    digest: HeaderValue,
    manifest: &[u8],
) -> Result<Response<Source>, Refusal> {
    let scheme = if context.client.https { "https" } else { "http" };
    let host = context.authority.as_str();
    let digest_text = digest.to_str().unwrap_or_default();
    let location = format!("{scheme}://{host}/v2/{}/manifests/{digest_text}", tags.repository);
    let subject = subject(manifest);
    let subject = match &subject {
        Some(subject) if tags.lists_referrers(subject).await? => HeaderValue::try_from(subject).ok(),
        _ => None,
    };
    let mut response = Response::new(Source::from(Bytes::new()));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(API_VERSION, API_VERSION_VALUE);
    headers.insert(LOCATION, HeaderValue::try_from(location).map_err(|_| Refusal::Path)?);
    headers.insert(digest::FIELD, digest);
    if let Some(subject) = subject {
        headers.insert(SUBJECT, subject);
    }
    Ok(response)
}

/// The manifest that this one refers to, if it names one.
fn subject(manifest: &[u8]) -> Option<String> {
    let manifest: Value = serde_json::from_slice(manifest).ok()?;
    let digest = manifest.get("subject")?.get("digest")?.as_str()?;
    name::is_digest(digest).then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_push() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pushed =
            |reference: &str, query: &str| pushed(reference, query).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(pushed("v1", ""), "v1");
        assert_eq!(pushed(&digest, ""), "");
        assert_eq!(pushed(&digest, "tag=v1&tag=v2&tag=v1"), "v1 v2");
        assert_eq!(pushed(&digest, "x=1;t%61g=v%31&tag=../x&tag="), "v1");
        assert_eq!(pushed("v1", "tag=v1&Tag=v3"), "v1");
    }

    #[test]
    fn the_subject_of_a_manifest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let found = subject(format!(r#"{{"subject":{{"digest":"{digest}"}}}}"#).as_bytes());
        assert_eq!(found, Some(digest));
        for manifest in ["", "[]", "{}", r#"{"subject":null}"#, r#"{"subject":{"digest":"../x"}}"#] {
            assert_eq!(subject(manifest.as_bytes()), None, "{manifest}");
        }
    }
}
