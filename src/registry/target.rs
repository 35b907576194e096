//! The operation of a request: its method and path, read as the registry reads them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::name;
use super::rights::Rights;
use crate::metrics::OPERATIONS;

/// The methods of the registry API, as in `Allow`.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// The base of the API without its slash, which the registry redirects to `/v2/`.
pub(crate) const BASE_WITHOUT_SLASH: &str = "/v2";
/// The position of the name of a request to the token endpoint, among [`Operation::NAMES`].
pub(crate) const TOKEN: usize = 14;
/// The same for a browser's question before a request.
pub(crate) const PREFLIGHT: usize = 15;

/// An operation and what it applies to. The parts borrow from the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The requested operation.
    pub operation: Operation,
    /// The repository, if the path names one.
    pub repository: Option<&'a str>,
    /// Tag or digest of a manifest, digest of a blob or of a referrers list, id of an upload.
    pub reference: Option<&'a str>,
}

/// The operations of the registry API. Each GET includes its HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `GET /v2/`
    Ping,
    /// `GET /v2/_catalog`
    Catalog,
    /// `GET /v2/<name>/manifests/<reference>`
    ManifestGet,
    /// `PUT /v2/<name>/manifests/<reference>`
    ManifestPut,
    /// `DELETE /v2/<name>/manifests/<reference>`
    ManifestDelete,
    /// `GET /v2/<name>/blobs/<digest>`
    BlobGet,
    /// `DELETE /v2/<name>/blobs/<digest>`
    BlobDelete,
    /// `GET /v2/<name>/tags/list`
    Tags,
    /// `GET /v2/<name>/referrers/<digest>`
    Referrers,
    /// `POST /v2/<name>/blobs/uploads/`, a mount included
    UploadStart,
    /// `PATCH /v2/<name>/blobs/uploads/<id>`
    UploadChunk,
    /// `PUT /v2/<name>/blobs/uploads/<id>`
    UploadFinish,
    /// `GET /v2/<name>/blobs/uploads/<id>`
    UploadState,
    /// `DELETE /v2/<name>/blobs/uploads/<id>`
    UploadCancel,
    /// A request to the token service of the registry itself
    TokenOfRegistry,
    /// A path of the API with another method; the path's own methods, as in `Allow`. The target
    /// still names the repository.
    NoMethod(&'static str),
    /// The path is not in the API.
    NoPath,
}

impl Operation {
    /// The rights that it takes in the repository. Pushing takes two rights; cancelling an upload
    /// takes no more than starting one.
    pub fn rights(self) -> Rights {
        match self {
            Self::ManifestGet | Self::BlobGet | Self::Tags | Self::Referrers => Rights::PULL,
            Self::ManifestPut
            | Self::UploadStart
            | Self::UploadChunk
            | Self::UploadFinish
            | Self::UploadState => Rights::PULL | Rights::PUSH,
            Self::UploadCancel => Rights::PUSH,
            Self::ManifestDelete | Self::BlobDelete => Rights::DELETE,
            Self::Ping | Self::Catalog | Self::TokenOfRegistry | Self::NoMethod(_) | Self::NoPath => {
                Rights::NONE
            }
        }
    }

    /// Whether it changes what the registry holds.
    pub fn changes(self) -> bool {
        self != Self::UploadState && !self.rights().without(Rights::PULL).is_empty()
    }

    /// Whether it starts an upload or works on one.
    pub fn is_upload(self) -> bool {
        matches!(
            self,
            Self::UploadStart
                | Self::UploadChunk
                | Self::UploadFinish
                | Self::UploadState
                | Self::UploadCancel
        )
    }

    /// The names in the access log and in the metrics.
    pub(crate) const NAMES: [&str; OPERATIONS] = [
        "ping",
        "catalog",
        "manifest-get",
        "manifest-put",
        "manifest-delete",
        "blob-get",
        "blob-delete",
        "tags",
        "referrers",
        "upload-start",
        "upload-chunk",
        "upload-finish",
        "upload-state",
        "upload-cancel",
        "token",
        "preflight",
        "other",
    ];

    /// The position of the name among [`Operation::NAMES`].
    pub(crate) const fn position(self) -> usize {
        match self {
            Self::Ping => 0,
            Self::Catalog => 1,
            Self::ManifestGet => 2,
            Self::ManifestPut => 3,
            Self::ManifestDelete => 4,
            Self::BlobGet => 5,
            Self::BlobDelete => 6,
            Self::Tags => 7,
            Self::Referrers => 8,
            Self::UploadStart => 9,
            Self::UploadChunk => 10,
            Self::UploadFinish => 11,
            Self::UploadState => 12,
            Self::UploadCancel => 13,
            Self::TokenOfRegistry => TOKEN,
            Self::NoMethod(_) | Self::NoPath => OPERATIONS - 1,
        }
    }

    /// The name in the access log and in the metrics.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self.position()]
    }
}

/// The path that the registry looks up: `path` with its escapes decoded once. Paths of the API need
/// no escapes, so for those the decoded path is also the usual way to write it.
pub fn decode(path: &str) -> Cow<'_, str> {
    if !path.as_bytes().contains(&b'%') {
        return Cow::Borrowed(path);
    }
    // Bytes that are not UTF-8 become a character that is not valid in any name.
    percent_decode_str(path).decode_utf8_lossy()
}

/// Reads a method and a decoded path without its query. The repository is everything before the
/// last `/manifests/`, `/blobs/`, `/tags/` or `/referrers/`, so it may itself be called
/// `manifests`. A path with an escape left, an empty segment or a dot segment is
/// [`Operation::NoPath`].
pub fn parse<'a>(method: &Method, path: &'a str) -> Target<'a> {
    match locate(path) {
        Some(Route { resource, repository, reference }) => {
            Target { operation: resource.operation(method), repository, reference }
        }
        None => Target { operation: Operation::NoPath, repository: None, reference: None },
    }
}

/// A request to the token service of the registry itself. Its path is not in the API, so only the
/// settings can tell.
pub fn token_of_registry(method: &Method) -> Target<'static> {
    let is_usual = [Method::GET, Method::HEAD, Method::POST].contains(method);
    let operation =
        if is_usual { Operation::TokenOfRegistry } else { Operation::NoMethod("GET, HEAD, POST") };
    Target { operation, repository: None, reference: None }
}

struct Route<'a> {
    resource: Resource,
    repository: Option<&'a str>,
    reference: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum Resource {
    Base,
    Catalog,
    Manifest,
    Blob,
    Tags,
    Referrers,
    Uploads,
    Upload,
}

impl Resource {
    fn operation(self, method: &Method) -> Operation {
        use Operation as O;
        let get = method == Method::GET || method == Method::HEAD;
        match self {
            Self::Base if get => O::Ping,
            Self::Catalog if get => O::Catalog,
            Self::Manifest if get => O::ManifestGet,
            Self::Manifest if method == Method::PUT => O::ManifestPut,
            Self::Manifest if method == Method::DELETE => O::ManifestDelete,
            Self::Blob if get => O::BlobGet,
            Self::Blob if method == Method::DELETE => O::BlobDelete,
            Self::Tags if get => O::Tags,
            Self::Referrers if get => O::Referrers,
            Self::Uploads if method == Method::POST => O::UploadStart,
            Self::Upload if get => O::UploadState,
            Self::Upload if method == Method::PATCH => O::UploadChunk,
            Self::Upload if method == Method::PUT => O::UploadFinish,
            Self::Upload if method == Method::DELETE => O::UploadCancel,
            _ => O::NoMethod(self.methods()),
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags | Self::Referrers => "GET, HEAD",
            Self::Manifest => "GET, HEAD, PUT, DELETE",
            Self::Blob => "GET, HEAD, DELETE",
            Self::Uploads => "POST",
            Self::Upload => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }
}

fn locate(path: &str) -> Option<Route<'_>> {
    let rest = path.strip_prefix("/v2/")?;
    match rest {
        "" => return Some(Route { resource: Resource::Base, repository: None, reference: None }),
        "_catalog" => return Some(Route { resource: Resource::Catalog, repository: None, reference: None }),
        _ => {}
    }
    // References hold no slash, so two or three segments from the right are enough.
    let (head, last) = rest.rsplit_once('/')?;
    let (repository, kind) = head.rsplit_once('/')?;
    let (resource, repository) = match kind {
        "manifests" if name::is_tag(last) || name::is_digest(last) => (Resource::Manifest, repository),
        "blobs" if name::is_digest(last) => (Resource::Blob, repository),
        "tags" if last == "list" => (Resource::Tags, repository),
        "referrers" if name::is_digest(last) => (Resource::Referrers, repository),
        "uploads" if last.is_empty() => (Resource::Uploads, repository.strip_suffix("/blobs")?),
        "uploads" if name::is_upload(last) => (Resource::Upload, repository.strip_suffix("/blobs")?),
        _ => return None,
    };
    let reference = (!matches!(resource, Resource::Tags | Resource::Uploads)).then_some(last);
    name::is_repository(repository).then_some(Route { resource, repository: Some(repository), reference })
}

#[cfg(test)]
mod tests;
