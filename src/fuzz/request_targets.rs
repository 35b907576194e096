//! The path of a request, as it stands in its first line.
//!
//! The parts of a path that is in the API make up the whole path again. They follow the grammar of
//! the specification, and do not depend on the method.

use std::sync::LazyLock;

use http::Method;
use regex::Regex;

use crate::registry::target::{self, Operation as O, Target};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// OCI distribution specification 1.1, "Pulling manifests", and OCI image specification, "Digests".
static GRAMMAR: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"\A[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\z",
        r"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z",
        r"\A[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\z",
    ]
    .map(|text| Regex::new(text).expect("the grammar is valid"))
});

/// Checks one input.
pub(super) fn request_targets(bytes: &[u8]) {
    let Ok(path) = str::from_utf8(bytes) else { return };
    let decoded = target::decode(path);
    let targets = METHODS.map(|method| target::parse(&method, &decoded));
    for target in &targets {
        let Target { operation, repository, reference } = *target;
        assert_eq!((repository, reference), (targets[0].repository, targets[0].reference));
        assert_eq!(operation == O::NoPath, targets[0].operation == O::NoPath);
        if !matches!(operation, O::NoPath | O::NoMethod(_)) {
            assert_eq!(written(target), decoded);
        }
        if operation != O::NoPath {
            assert!(!decoded.contains('%') && !decoded.contains("//"), "{decoded:?}");
        }
        let [names, tags, digests] = &*GRAMMAR;
        assert!(repository.is_none_or(|name| names.is_match(name) && name.len() <= 255), "{target:?}");
        match operation {
            O::ManifestGet | O::ManifestPut | O::ManifestDelete => {
                let is_name = |name: &str| tags.is_match(name) || digests.is_match(name);
                assert!(reference.is_some_and(is_name), "{target:?}");
            }
            O::BlobGet | O::BlobDelete | O::Referrers => {
                assert!(reference.is_some_and(|digest| digests.is_match(digest)), "{target:?}");
            }
            _ => {}
        }
    }
}

/// The usual path of a target.
fn written(target: &Target<'_>) -> String {
    let name = target.repository.unwrap_or_default();
    let last = target.reference.unwrap_or_default();
    match target.operation {
        O::Ping => "/v2/".to_owned(),
        O::Catalog => "/v2/_catalog".to_owned(),
        O::ManifestGet | O::ManifestPut | O::ManifestDelete => format!("/v2/{name}/manifests/{last}"),
        O::BlobGet | O::BlobDelete => format!("/v2/{name}/blobs/{last}"),
        O::Tags => format!("/v2/{name}/tags/list"),
        O::Referrers => format!("/v2/{name}/referrers/{last}"),
        O::UploadStart | O::UploadChunk | O::UploadFinish | O::UploadState | O::UploadCancel => {
            format!("/v2/{name}/blobs/uploads/{last}")
        }
        O::TokenOfRegistry | O::NoMethod(_) | O::NoPath => String::new(),
    }
}
