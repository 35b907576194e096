//! A place at which a registry continues an upload: the path that was asked for, the reference in
//! the answer, the repository, and the query that a client adds.
//!
//! A place of which the rules know nothing is nothing of another repository to any reader, however
//! it is escaped.

use http::Method;

use super::pieces::texts;
use crate::registry::name::is_repository;
use crate::registry::target::{self, Operation};
use crate::registry::upload_place::{Place, classify, escaped, resolve, with_digest};

/// Checks one input.
pub(super) fn upload_places(bytes: &[u8]) {
    let Some([asked, reference, repository, query]) = texts(bytes) else { return };
    if !is_repository(repository) {
        return;
    }
    let resolved = Some(reference).filter(|_| !asked.starts_with('/'));
    let resolved = resolved.map(str::to_owned).or_else(|| resolve(asked, reference));
    let Some(place) = resolved else { return };
    let written = escaped(&place);
    assert_eq!(escaped(&written), written);
    assert_eq!(*target::decode(path(&written)), *target::decode(path(&place)), "{place:?} and {written:?}");
    for place in [&place, &written] {
        let class = classify(place, repository);
        check(place, repository, &class);
        if class == Place::Other {
            continue;
        }
        let Some(onward) = with_digest(place, Some(query)) else { continue };
        assert!(onward.starts_with(place.as_str()) && path(&onward) == path(place), "{onward:?}");
        if onward.len() <= 4096 && !query.contains(|char: char| !char.is_ascii_graphic()) {
            check(&onward, repository, &class);
        }
    }
}

fn check(place: &str, repository: &str, class: &Place) {
    if *class == Place::Other {
        return;
    }
    assert!(place.starts_with('/') && place.len() <= 4096, "{place:?}");
    let decoded = target::decode(path(place));
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let target = target::parse(&method, &decoded);
        let is_own = target.repository == Some(repository) && decoded.contains("/blobs/uploads/");
        assert!(is_own || (target.operation == Operation::NoPath && *class == Place::Elsewhere), "{place:?}");
    }
    assert!(!decoded.split('/').any(|segment| matches!(segment, "." | "..")), "{place:?}");
}

fn path(place: &str) -> &str {
    place.split('?').next().unwrap_or_default()
}
