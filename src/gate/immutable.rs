//! Tags of `policy.immutable_tags`: once they exist they stay as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use super::RequestContext;
use super::inquiry::{Inquiry, refused};
use super::listing::{Listing, MOST_NAMES};
use super::reject::Refusal;
use super::request_log::RequestLog;
use crate::access::Permit;
use crate::registry::name;
use crate::registry::pattern::TagPattern;
use crate::registry::target::{Operation, Target};
use crate::state::{TagLock, TagLocks};

/// Immutable tags that the registry is asked about for one request.
const MOST_TAGS: usize = 1000;
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// To distribution a manifest does not exist for who does not name its kind.
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.artifact.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*",
);

/// Refuses what would overwrite or delete an immutable tag that exists. What it returns is to be held until the registry has
/// answered the request: one that pushes the same new tag meanwhile would find that it does not exist either.
pub(super) async fn guard<B>(
    context: &RequestContext<'_>,
    permit: &Permit,
    target: &Target<'_>,
    request: &Request<B>,
    log: &mut RequestLog,
) -> Result<Vec<TagLock>, Refusal> {
    let (Some(repository), Some(reference), Operation::ManifestPut | Operation::ManifestDelete) =
        (target.repository, target.reference, target.operation)
    else {
        return Ok(Vec::new());
    };
    let policy = context.state.config.policy.immutable_tags.iter();
    let patterns: Vec<_> =
        policy.filter(|rule| rule.repositories.fits(repository, None)).map(|rule| &rule.tags).collect();
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let inquiry = Inquiry::new(context, permit, request.headers(), log);
    let tags = Tags { inquiry: &inquiry, tag_locks: &context.gate.shared.tag_locks, repository, patterns };
    match target.operation {
        Operation::ManifestPut => {
            let named = pushed(reference, request.uri().query().unwrap_or_default());
            tags.claim_new(&named, "push another tag").await
        }
        _ if name::is_digest(reference) => tags.point_elsewhere(reference).await.map(|()| Vec::new()),
        _ => tags.claim_new(&BTreeSet::from([reference.to_owned()]), "it cannot be deleted").await,
    }
}

/// The tags that a push sets: the one it is for, and those in the query, which newer registries take beside a digest
/// (OCI distribution specification 1.2, "Pushing Manifests").
fn pushed(reference: &str, query: &str) -> BTreeSet<String> {
    // Some read a semicolon as Go did until 2021.
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
    /// TagLocks those that are among `named`, none of which may exist.
    async fn claim_new(&self, named: &BTreeSet<String>, advice: &str) -> Result<Vec<TagLock>, Refusal> {
        let repository = self.repository;
        let mut claims = Vec::new();
        for tag in named.iter().filter(|tag| self.contain(tag)) {
            let busy =
                || format!("tag {tag} of {repository} is being pushed at this moment and is immutable");
            if claims.len() == MOST_TAGS {
                return Err(Refusal::Immutable(format!("more than {MOST_TAGS} immutable tags at once")));
            }
            claims.push(self.tag_locks.claim(repository, tag).ok_or_else(|| Refusal::Immutable(busy()))?);
            if self.find(tag).await?.is_some() {
                let sentence = format!("tag {tag} of {repository} exists and is immutable; {advice}");
                return Err(Refusal::Immutable(sentence));
            }
        }
        Ok(claims)
    }

    /// Makes sure that none points at the manifest `digest`: registries delete the tags with it.
    async fn point_elsewhere(&self, digest: &str) -> Result<(), Refusal> {
        let repository = self.repository;
        let mut asked = 0;
        let mut listing = Listing::of_tags(self.inquiry, repository);
        while let Some(tags) = or_none(listing.next(MOST_NAMES).await)? {
            for tag in tags.iter().filter(|tag| self.contain(tag)) {
                if asked == MOST_TAGS {
                    return Err(Refusal::Immutable(format!(
                        "{repository} has more than {MOST_TAGS} immutable tags; whether one points at this manifest is not \
                         looked up, and it cannot be deleted"
                    )));
                }
                asked += 1;
                let Some(found) = self.find(tag).await? else { continue };
                let Some(found) = found.get(DIGEST) else {
                    return Err(Refusal::BadGateway(format!(
                        "it gave no digest for tag {tag} of {repository}"
                    )));
                };
                if found.as_bytes() == digest.as_bytes() {
                    let sentence = format!(
                        "tag {tag} of {repository} points at this manifest and is immutable; it cannot be deleted"
                    );
                    return Err(Refusal::Immutable(sentence));
                }
            }
        }
        Ok(())
    }

    fn contain(&self, tag: &str) -> bool {
        name::is_tag(tag) && self.patterns.iter().any(|pattern| pattern.fits(tag))
    }

    /// What the registry says of the manifest of a tag, if it exists.
    async fn find(&self, tag: &str) -> Result<Option<HeaderMap>, Refusal> {
        let target = format!("/v2/{}/manifests/{tag}", self.repository);
        let answer = self.inquiry.ask(Method::HEAD, &target, MANIFESTS).await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.into_parts().0.headers)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(answer)),
        }
    }
}

/// A repository that does not exist has no tags.
fn or_none(page: Result<Option<Vec<String>>, Refusal>) -> Result<Option<Vec<String>>, Refusal> {
    match page {
        Err(Refusal::Registry(answer)) if answer.status() == StatusCode::NOT_FOUND => Ok(None),
        page => page,
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
