//! What immutable tags need: their manifests, those of the images in an index, and their blobs.
//! Registries delete any of these by digest and keep the tag.

use std::collections::HashSet;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::immutable_tags::ImmutableTags;
use super::listing::{Listing, MOST_NAMES, Next};
use super::refusal::Refusal;
use crate::registry::target::Operation;
use crate::registry::{digest, name};

/// Most manifests that are read for one request.
const MOST_MANIFESTS: usize = 2000;
/// Bytes of the largest manifest that is searched, as many as most registries store.
const LARGEST_MANIFEST: usize = 4 << 20;
/// Manifests of images, which refer to blobs only.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Makes sure that no immutable tag needs the manifest or blob `digest`, which `operation` deletes.
///
/// # Errors
/// A tag needs it, or that cannot be known within the bounds.
pub(super) async fn check(
    tags: &ImmutableTags<'_>,
    digest: &str,
    operation: Operation,
) -> Result<(), Refusal> {
    let is_blob = operation == Operation::BlobDelete;
    Search { tags, digest, is_blob, found: HashSet::new() }.run().await
}

struct Search<'a> {
    tags: &'a ImmutableTags<'a>,
    digest: &'a str,
    is_blob: bool,
    /// Digests of manifests that are read or will be. Clients write indexes, so this is what bounds
    /// the memory and the questions of a search.
    found: HashSet<String>,
}

impl Search<'_> {
    async fn run(mut self) -> Result<(), Refusal> {
        let mut asked = 0;
        let mut listing = Listing::of_tags(&self.tags.inquiry, self.tags.repository);
        loop {
            let names = match listing.next(MOST_NAMES).await? {
                Next::Names(names) => names,
                Next::End => return Ok(()),
                // A repository that does not exist has no tags.
                Next::Refused(answer) if answer.status() == StatusCode::NOT_FOUND => return Ok(()),
                Next::Refused(answer) => return Err(Refusal::Registry(Box::new(answer))),
            };
            for tag in names.iter().filter(|tag| self.tags.contain(tag)) {
                if asked == ImmutableTags::MOST {
                    return Err(Refusal::Immutable(format!(
                        "{} has more than {} immutable tags, too many to check whether one points at this {}; it \
                         cannot be deleted",
                        self.tags.repository,
                        ImmutableTags::MOST,
                        self.what(),
                    )));
                }
                asked += 1;
                self.tag(tag).await?;
            }
        }
    }

    async fn tag(&mut self, tag: &str) -> Result<(), Refusal> {
        let repository = self.tags.repository;
        let Some(found) = self.tags.find(tag).await? else { return Ok(()) };
        let digest = found.get(digest::FIELD).and_then(|digest| digest.to_str().ok());
        let Some(digest) = digest.filter(|digest| name::is_digest(digest)) else {
            return Err(Refusal::BadGateway(format!("it gave no digest for tag {tag} of {repository}")));
        };
        if digest == self.digest {
            return Err(self.refuse(tag, "points at"));
        }
        let kind = found.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if self.may_need(kind) { self.manifests(tag, digest).await } else { Ok(()) }
    }

    /// Reads the manifest `first` and the manifests that it refers to.
    async fn manifests(&mut self, tag: &str, first: &str) -> Result<(), Refusal> {
        let mut unread = Vec::new();
        self.queue(tag, first, &mut unread)?;
        while let Some(digest) = unread.pop() {
            // An image of an index that was never pushed, or is gone already.
            let Some(manifest) = self.tags.manifest(&digest).await? else { continue };
            if manifest.len() > LARGEST_MANIFEST {
                return Err(self.unknown(tag, &format!("manifest {digest} is larger than 4 MiB")));
            }
            let Ok(manifest) = serde_json::from_slice::<Value>(&manifest) else {
                return Err(self.unknown(tag, &format!("manifest {digest} is not JSON")));
            };
            if parts(&manifest).any(|part| part == self.digest) {
                return Err(self.refuse(tag, "needs"));
            }
            for image in list(&manifest, "manifests") {
                let digest = text(image, "digest").filter(|digest| name::is_digest(digest));
                if let Some(digest) = digest.filter(|_| self.may_need(text(image, "mediaType"))) {
                    self.queue(tag, digest, &mut unread)?;
                }
            }
        }
        Ok(())
    }

    /// Queues a manifest to be read, unless it was found before.
    fn queue(&mut self, tag: &str, digest: &str, unread: &mut Vec<String>) -> Result<(), Refusal> {
        if !self.found.insert(digest.to_owned()) {
            return Ok(());
        }
        if self.found.len() > MOST_MANIFESTS {
            return Err(self.unknown(tag, &format!("the tags have more than {MOST_MANIFESTS} manifests")));
        }
        unread.push(digest.to_owned());
        Ok(())
    }

    /// Whether a manifest of this media type may refer to what is to be deleted.
    fn may_need(&self, kind: Option<&str>) -> bool {
        self.is_blob || !kind.is_some_and(|kind| IMAGES.contains(&kind))
    }

    fn refuse(&self, tag: &str, verb: &str) -> Refusal {
        let (repository, what) = (self.tags.repository, self.what());
        Refusal::Immutable(format!(
            "tag {tag} of {repository} {verb} this {what} and is immutable; it cannot be deleted"
        ))
    }

    fn unknown(&self, tag: &str, reason: &str) -> Refusal {
        let (repository, what) = (self.tags.repository, self.what());
        Refusal::Immutable(format!(
            "tag {tag} of {repository} is immutable and may need this {what}: {reason}; it cannot be deleted"
        ))
    }

    fn what(&self) -> &'static str {
        if self.is_blob { "blob" } else { "manifest" }
    }
}

/// The digests of everything that a manifest is made of, whatever its kind. Its subject is not a
/// part of it.
fn parts(manifest: &Value) -> impl Iterator<Item = &str> {
    let described = ["layers", "blobs", "manifests"].into_iter().flat_map(|key| list(manifest, key));
    let digests = manifest.get("config").into_iter().chain(described).filter_map(|part| text(part, "digest"));
    digests.chain(list(manifest, "fsLayers").filter_map(|layer| text(layer, "blobSum")))
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_of_each_kind_of_manifest() {
        let described = |digest: &str| json!({"digest": digest, "size": 1});
        for (manifest, expected) in [
            (
                json!({"config": described("c"), "layers": [described("a"), described("b")],
                       "subject": described("s"), "annotations": {"digest": "n"}}),
                "c a b",
            ),
            (json!({"manifests": [described("a")], "subject": described("s")}), "a"),
            (json!({"blobs": [described("a")]}), "a"),
            (json!({"fsLayers": [{"blobSum": "a"}, {"blobSum": "b"}]}), "a b"),
            (json!({"layers": null, "config": 1}), ""),
            (json!([]), ""),
        ] {
            assert_eq!(parts(&manifest).collect::<Vec<_>>().join(" "), expected, "{manifest}");
        }
    }
}
