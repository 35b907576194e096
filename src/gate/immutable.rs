//! Tags of `policy.immutable_tags`: once they exist, they are neither overwritten nor deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use super::context::RequestContext;
use super::inquiry::{Inquiry, RegistryAnswer};
use super::listing::{Listing, MOST_NAMES, Next};
use super::refusal::Refusal;
use crate::access::Permit;
use crate::registry::name;
use crate::registry::pattern::TagPattern;
use crate::registry::target::Operation;
use crate::state::{TagLock, TagLocks};

/// Most immutable tags that the registry is asked about for one request.
const MOST_TAGS: usize = 1000;
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Distribution answers 404 for a manifest whose media type is not accepted.
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.artifact.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*",
);

/// Refuses to overwrite or delete an immutable tag that exists. Hold the returned locks until the
/// registry has answered the request: meanwhile another push of the same new tag would not see it
/// either.
pub(super) async fn guard<B>(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: &Request<B>,
) -> Result<Vec<TagLock>, Refusal> {
    let target = context.target;
    let (Some(repository), Some(reference), Operation::ManifestPut | Operation::ManifestDelete) =
        (target.repository, target.reference, target.operation)
    else {
        return Ok(Vec::new());
    };
    let rules = &context.state.config.policy.immutable_tags;
    let patterns: Vec<_> =
        rules.iter().filter(|rule| rule.repositories.fits(repository, None)).map(|rule| &rule.tags).collect();
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let inquiry = Inquiry::new(context, permit, request.headers());
    let tags = Tags { inquiry: &inquiry, tag_locks: &context.gate.shared.tag_locks, repository, patterns };
    match target.operation {
        Operation::ManifestPut => {
            let named = pushed(reference, request.uri().query().unwrap_or_default());
            tags.lock_new(&named, "push another tag").await
        }
        _ if name::is_digest(reference) => tags.point_elsewhere(reference).await.map(|()| Vec::new()),
        _ => tags.lock_new(&BTreeSet::from([reference.to_owned()]), "it cannot be deleted").await,
    }
}

/// The tags that a push sets: the reference, and those in the query, which newer registries accept
/// beside a digest (OCI distribution specification 1.2, "Pushing Manifests").
fn pushed(reference: &str, query: &str) -> BTreeSet<String> {
    // Some registries take a semicolon for a separator, as Go did until 2021.
    let pairs = query.split(';').flat_map(|part| form_urlencoded::parse(part.as_bytes()));
    let tags = pairs.filter(|(key, _)| key == "tag").map(|(_, tag)| tag.into_owned());
    tags.chain([reference.to_owned()]).filter(|tag| name::is_tag(tag)).collect()
}

/// The immutable tags of one repository.
struct Tags<'a> {
    inquiry: &'a Inquiry<'a>,
    tag_locks: &'a Arc<TagLocks>,
    repository: &'a str,
    patterns: Vec<&'a TagPattern>,
}

impl Tags<'_> {
    /// Locks the immutable tags among `named`, none of which may exist.
    async fn lock_new(&self, named: &BTreeSet<String>, advice: &str) -> Result<Vec<TagLock>, Refusal> {
        let repository = self.repository;
        let mut locks = Vec::new();
        for tag in named.iter().filter(|tag| self.contain(tag)) {
            if locks.len() == MOST_TAGS {
                return Err(Refusal::Immutable(format!("more than {MOST_TAGS} immutable tags at once")));
            }
            let busy =
                || format!("tag {tag} of {repository} is being pushed at this moment and is immutable");
            let lock = self.tag_locks.lock(repository, tag).ok_or_else(|| Refusal::Immutable(busy()))?;
            locks.push(lock);
            if self.find(tag).await?.is_some() {
                let message = format!("tag {tag} of {repository} exists and is immutable; {advice}");
                return Err(Refusal::Immutable(message));
            }
        }
        Ok(locks)
    }

    /// Makes sure that no immutable tag points at the manifest `digest`: registries delete the tags
    /// with it.
    async fn point_elsewhere(&self, digest: &str) -> Result<(), Refusal> {
        let mut asked = 0;
        let mut listing = Listing::of_tags(self.inquiry, self.repository);
        loop {
            let tags = match listing.next(MOST_NAMES).await? {
                Next::Names(tags) => tags,
                Next::End => return Ok(()),
                // A repository that does not exist has no tags.
                Next::Refused(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(()),
                Next::Refused(answer) => return Err(Refusal::Registry(Box::new(answer))),
            };
            for tag in tags.iter().filter(|tag| self.contain(tag)) {
                if asked == MOST_TAGS {
                    return Err(Refusal::Immutable(format!(
                        "{} has more than {MOST_TAGS} immutable tags, too many to check whether one points at \
                         this manifest; it cannot be deleted",
                        self.repository
                    )));
                }
                asked += 1;
                self.points_elsewhere(tag, digest).await?;
            }
        }
    }

    async fn points_elsewhere(&self, tag: &str, digest: &str) -> Result<(), Refusal> {
        let repository = self.repository;
        let Some(found) = self.find(tag).await? else { return Ok(()) };
        match found.get(DIGEST) {
            None => Err(Refusal::BadGateway(format!("it gave no digest for tag {tag} of {repository}"))),
            Some(found) if found == digest => Err(Refusal::Immutable(format!(
                "tag {tag} of {repository} points at this manifest and is immutable; it cannot be deleted"
            ))),
            Some(_) => Ok(()),
        }
    }

    fn contain(&self, tag: &str) -> bool {
        name::is_tag(tag) && self.patterns.iter().any(|pattern| pattern.fits(tag))
    }

    /// The head of the registry's answer about the manifest of a tag; `None` if there is none.
    async fn find(&self, tag: &str) -> Result<Option<HeaderMap>, Refusal> {
        let target = format!("/v2/{}/manifests/{tag}", self.repository);
        match self.inquiry.ask(Method::HEAD, &target, MANIFESTS).await? {
            RegistryAnswer::Ok(answer) => Ok(Some(answer.into_parts().0.headers)),
            RegistryAnswer::Refused(answer) if answer.status() == StatusCode::NOT_FOUND => Ok(None),
            RegistryAnswer::Refused(answer) => Err(Refusal::Registry(Box::new(answer))),
        }
    }
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
}
