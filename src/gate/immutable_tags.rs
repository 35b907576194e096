//! The immutable tags of one repository, and what the registry says of them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::context::RequestContext;
use super::inquiry::{Inquiry, RegistryAnswer};
use super::refusal::Refusal;
use crate::access::Permit;
use crate::registry::digest;
use crate::registry::name;
use crate::registry::pattern::TagPattern;
use crate::state::{NotLeased, TagLock, TagLocks};

/// Distribution answers 404 for a manifest whose media type is not accepted.
const MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.artifact.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*",
);

/// The immutable tags of one repository.
pub(super) struct ImmutableTags<'a> {
    pub(super) inquiry: Inquiry<'a>,
    pub(super) repository: &'a str,
    tag_locks: &'a Arc<TagLocks>,
    patterns: Vec<&'a TagPattern>,
    /// Whether the tags that stand in for a referrers API are meant too.
    referrers: bool,
}

impl<'a> ImmutableTags<'a> {
    /// Most immutable tags that the registry is asked about for one request.
    pub(super) const MOST: usize = 1000;

    /// `None` if all tags of `repository` may change. `headers` are those of the client's request.
    pub(super) fn of(
        context: &'a RequestContext<'a>,
        permit: &'a Permit,
        headers: &HeaderMap,
        repository: &'a str,
    ) -> Option<Self> {
        let policy = &context.state.config.policy;
        let rules = policy.immutable_tags.iter().filter(|rule| rule.repositories.fits(repository, None));
        let patterns: Vec<_> = rules.map(|rule| &rule.tags).collect();
        (!patterns.is_empty()).then(|| Self {
            inquiry: Inquiry::new(context, permit, headers),
            repository,
            tag_locks: &context.gate.shared.tag_locks,
            patterns,
            referrers: policy.immutable_referrers,
        })
    }

    pub(super) fn contain(&self, tag: &str) -> bool {
        name::is_tag(tag)
            && (self.referrers || !name::is_referrers_tag(tag))
            && self.patterns.iter().any(|pattern| pattern.fits(tag))
    }

    /// Locks a tag, and returns what `find` finds of it in the registry. Other replicas are kept
    /// out only from a tag that is not there; then it is looked for once more, because a replica
    /// may have pushed it meanwhile.
    pub(super) async fn lock<T>(
        &self,
        tag: &str,
        find: impl AsyncFn() -> Result<Option<T>, Refusal>,
    ) -> Result<(TagLock, Option<T>), Refusal> {
        let lock = self.tag_locks.lock(self.repository, tag);
        let mut lock = lock.ok_or_else(|| self.is_being_pushed(tag))?;
        if let Some(found) = find().await? {
            return Ok((lock, Some(found)));
        }
        let is_leased = lock.lease().await.map_err(|reason| match reason {
            NotLeased::Held => self.is_being_pushed(tag),
            NotLeased::Away => Refusal::Unshared,
        })?;
        let found = if is_leased { find().await? } else { None };
        Ok((lock, found))
    }

    fn is_being_pushed(&self, tag: &str) -> Refusal {
        let repository = self.repository;
        Refusal::Immutable(format!(
            "tag {tag} of {repository} is being pushed at this moment and is immutable"
        ))
    }

    /// The head of the registry's answer about the manifest of a tag; `None` if there is none.
    pub(super) async fn find(&self, tag: &str) -> Result<Option<HeaderMap>, Refusal> {
        let answer = self.ask(Method::HEAD, tag).await?;
        Ok(answer.map(|answer| answer.into_parts().0.headers))
    }

    /// The manifest of a tag or digest; `None` if there is none.
    pub(super) async fn manifest(&self, reference: &str) -> Result<Option<Bytes>, Refusal> {
        let answer = self.ask(Method::GET, reference).await?;
        Ok(answer.map(Response::into_body))
    }

    /// Whether a tag has this manifest: its digest if so. `None` if there is no such tag.
    pub(super) async fn has(
        &self,
        tag: &str,
        manifest: &[u8],
    ) -> Result<Option<Option<HeaderValue>>, Refusal> {
        let Some(found) = self.find(tag).await? else { return Ok(None) };
        let digest = found.get(digest::FIELD);
        let is_same = digest.and_then(|digest| digest::is_of(digest.to_str().ok()?, manifest));
        if let Some(is_same) = is_same {
            return Ok(Some(digest.filter(|_| is_same).cloned()));
        }
        // No digest, or one that cannot be computed here.
        let found = self.manifest(tag).await?;
        let ours = || digest.cloned().or_else(|| HeaderValue::try_from(digest::sha256(manifest)).ok());
        Ok(found.map(|found| if found == manifest { ours() } else { None }))
    }

    /// Whether the registry has a list of the manifests that refer to `digest`.
    pub(super) async fn lists_referrers(&self, digest: &str) -> Result<bool, Refusal> {
        let target = format!("/v2/{}/referrers/{digest}", self.repository);
        let index = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
        Ok(matches!(self.inquiry.ask(Method::GET, &target, index).await?, RegistryAnswer::Ok(_)))
    }

    async fn ask(&self, method: Method, reference: &str) -> Result<Option<Response<Bytes>>, Refusal> {
        let target = format!("/v2/{}/manifests/{reference}", self.repository);
        match self.inquiry.ask(method, &target, MANIFESTS).await? {
            RegistryAnswer::Ok(answer) => Ok(Some(answer)),
            RegistryAnswer::Refused(answer) if answer.status() == StatusCode::NOT_FOUND => Ok(None),
            RegistryAnswer::Refused(answer) => Err(Refusal::Registry(Box::new(answer))),
        }
    }
}
