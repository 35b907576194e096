use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn requests_of_the_api() {
    let blob = format!("/v2/a/b/blobs/{DIGEST}");
    let manifest = format!("/v2/a/b/manifests/{DIGEST}");
    let referrers = format!("/v2/a/b/referrers/{DIGEST}");
    let (tag, upload) = ("/v2/a/b/manifests/latest", "/v2/a/b/blobs/uploads/u-1");
    let (name, digest) = (Some("a/b"), Some(DIGEST));
    for (method, path, operation, repository, reference) in [
        ("GET", "/v2/", Operation::Ping, None, None),
        ("HEAD", "/v2/", Operation::Ping, None, None),
        ("GET", "/v2/_catalog", Operation::Catalog, None, None),
        ("GET", tag, Operation::ManifestGet, name, Some("latest")),
        ("HEAD", &manifest, Operation::ManifestGet, name, digest),
        ("PUT", tag, Operation::ManifestPut, name, Some("latest")),
        ("DELETE", &manifest, Operation::ManifestDelete, name, digest),
        ("GET", &blob, Operation::BlobGet, name, digest),
        ("HEAD", &blob, Operation::BlobGet, name, digest),
        ("DELETE", &blob, Operation::BlobDelete, name, digest),
        ("GET", "/v2/a/b/tags/list", Operation::Tags, name, None),
        ("GET", &referrers, Operation::Referrers, name, digest),
        ("POST", "/v2/a/b/blobs/uploads/", Operation::UploadStart, name, None),
        ("PATCH", upload, Operation::UploadChunk, name, Some("u-1")),
        ("PUT", upload, Operation::UploadFinish, name, Some("u-1")),
        ("GET", upload, Operation::UploadState, name, Some("u-1")),
        ("HEAD", upload, Operation::UploadState, name, Some("u-1")),
        ("DELETE", upload, Operation::UploadCancel, name, Some("u-1")),
        // A method that the path does not allow still leaves the names known.
        ("POST", tag, Operation::NoMethod("GET, HEAD, PUT, DELETE"), name, Some("latest")),
        ("GET", "/v2/a/b/blobs/uploads/", Operation::NoMethod("POST"), name, None),
        ("DELETE", "/v2/", Operation::NoMethod("GET, HEAD"), None, None),
        ("get", "/v2/", Operation::NoMethod("GET, HEAD"), None, None),
    ] {
        let target = parse(&method.parse().unwrap(), path);
        assert_eq!(target, Target { operation, repository, reference }, "{method} {path}");
    }
}

#[test]
fn repositories_named_like_the_api() {
    for (path, repository) in [
        ("/v2/manifests/manifests/latest", "manifests"),
        ("/v2/a/manifests/manifests/latest", "a/manifests"),
        ("/v2/a/blobs/uploads/manifests/latest", "a/blobs/uploads"),
        ("/v2/a/manifests/b/tags/list", "a/manifests/b"),
        ("/v2/tags/tags/list", "tags"),
        ("/v2/blobs/blobs/uploads/", "blobs"),
        ("/v2/blobs/uploads/blobs/uploads/id", "blobs/uploads"),
        ("/v2/uploads/blobs/uploads/manifests", "uploads"),
        ("/v2/v2/manifests/v2", "v2"),
    ] {
        assert_eq!(parse(&Method::GET, path).repository, Some(repository), "{path}");
    }
}

#[test]
fn anything_else_is_no_path() {
    let long = format!("/v2/{}/tags/list", "a".repeat(256));
    for path in [
        "",
        "*",
        "/",
        "/v2",
        "/v20/",
        "/v1/_ping",
        "/V2/",
        "//v2/",
        "/v2//",
        "/v2/./",
        "/v2/../v2/",
        "/v2/_catalog/",
        "/v2/smuggled",
        "/v2/a",
        "/v2/a/",
        "/v2/manifests/latest",
        "/v2//manifests/latest",
        "/v2/a/manifests/",
        "/v2/a/manifests/..",
        "/v2/a/manifests/latest/",
        "/v2/a/manifests/a/b",
        "/v2/a/manifests/sha256:00",
        "/v2/A/manifests/latest",
        "/v2/a/../b/manifests/latest",
        "/v2/a%2fb/manifests/latest",
        "/v2/a//b/tags/list",
        "/v2/a/manifests/lat%65st",
        "/v2/a/blobs/latest",
        "/v2/a/blobs/uploads",
        "/v2/blobs/uploads/",
        "/v2/a/blobs/uploads/..",
        "/v2/a/blobs/uploads/a/b",
        "/v2/a/uploads/x",
        "/v2/a/tags/",
        "/v2/a/tags/List",
        "/v2/a/tags/list/",
        "/v2/a/referrers/latest",
        "/v2/a/tags/list?n=1",
        "http://h/v2/",
        &long,
    ] {
        for method in [Method::GET, Method::PUT, Method::POST] {
            let none = Target { operation: Operation::NoPath, repository: None, reference: None };
            assert_eq!(parse(&method, path), none, "{method} {path}");
        }
    }
}

#[test]
fn escapes_are_decoded_once() {
    let hex = DIGEST.strip_prefix("sha256:").unwrap();
    for (sent, repository, reference) in [
        (format!("/v2/a/b/blobs/sha256%3A{hex}"), "a/b", DIGEST),
        (format!("/v2/%61/%62/%62lobs/sha256%3a{hex}"), "a/b", DIGEST),
        ("/%762/a%2db/manifests/%6Catest".to_owned(), "a-b", "latest"),
        ("/v2/a%2Eb/blobs/%75ploads/u%7e".to_owned(), "a.b", "u~"),
    ] {
        let path = decode(&sent);
        let target = parse(&Method::GET, &path);
        assert_eq!((target.repository, target.reference), (Some(repository), Some(reference)), "{sent}");
    }
    for sent in [
        "/v2/a%252eb/manifests/x",
        "/v2/a/manifests/%25%36%31",
        "/v2/%c3%a4/manifests/x",
        "/v2/%ff/manifests/x",
        "/v2/a/manifests/x%20",
        "/v2/a/manifests/x%00",
        "/v2/a/manifests/x%3fy",
        "/v2/a/manifests/x%23",
        "/v2/a%0a/manifests/x",
        "/v2/%41/manifests/x",
        "/v2/a/manifests/a+b",
    ] {
        assert_eq!(parse(&Method::GET, &decode(sent)).operation, Operation::NoPath, "{sent}");
    }
}

#[test]
fn each_path_has_its_methods_and_no_others() {
    let (blob, referrers) = (format!("/v2/a/blobs/{DIGEST}"), format!("/v2/a/referrers/{DIGEST}"));
    for (path, allowed) in [
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET, HEAD"),
        ("/v2/a/manifests/x", "GET, HEAD, PUT, DELETE"),
        (&blob, "GET, HEAD, DELETE"),
        ("/v2/a/tags/list", "GET, HEAD"),
        (&referrers, "GET, HEAD"),
        ("/v2/a/blobs/uploads/", "POST"),
        ("/v2/a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let operation = parse(&method.parse().unwrap(), path).operation;
            if allowed.split(", ").any(|one| one == method) {
                let is_known = !matches!(operation, Operation::NoMethod(_) | Operation::NoPath);
                assert!(is_known, "{method} {path}");
            } else {
                assert_eq!(operation, Operation::NoMethod(allowed), "{method} {path}");
            }
        }
    }
}

/// The same rules as a greedy regular expression: the last marker wins.
fn by_expression<'a>(method: &Method, path: &'a str) -> Target<'a> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| {
        let component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
        let digest = r"sha256:[a-f0-9]{64}|[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+";
        Regex::new(&format!(
            r"(?x)\A/v2/(?:
                (?<base>) | (?<catalog>_catalog) | (?<name>{component}(?:/{component})*)/(?:
                    manifests/(?<manifest>[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}|{digest})
                  | blobs/uploads/(?<upload>[a-zA-Z0-9._~=-]*)
                  | blobs/(?<blob>{digest}) | tags/(?<tags>list) | referrers/(?<referrers>{digest})
                )
            )\z"
        ))
        .unwrap()
    });
    let none = Target { operation: Operation::NoPath, repository: None, reference: None };
    let Some(found) = PATH.captures(path) else { return none };
    let part = |key: &str| found.name(key).map(|part| part.as_str());
    let repository = part("name");
    let reference = ["manifest", "upload", "blob", "referrers"].into_iter().find_map(part);
    let wrong_length = |digest: &str| digest.starts_with("sha256:") && digest.len() != 71;
    if repository.is_some_and(|name| name.len() > 255)
        || reference.is_some_and(wrong_length)
        || reference.is_some_and(|id| part("upload").is_some() && (id == "." || id == ".."))
    {
        return none;
    }
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let kind = ["base", "catalog", "manifest", "blob", "tags", "referrers"]
        .into_iter()
        .find(|key| part(key).is_some());
    let operation = match (kind, method) {
        (Some("base"), "GET") => Operation::Ping,
        (Some("catalog"), "GET") => Operation::Catalog,
        (Some("manifest"), "GET") => Operation::ManifestGet,
        (Some("manifest"), "PUT") => Operation::ManifestPut,
        (Some("manifest"), "DELETE") => Operation::ManifestDelete,
        (Some("blob"), "GET") => Operation::BlobGet,
        (Some("blob"), "DELETE") => Operation::BlobDelete,
        (Some("tags"), "GET") => Operation::Tags,
        (Some("referrers"), "GET") => Operation::Referrers,
        (None, "POST") if reference == Some("") => Operation::UploadStart,
        (None, "PATCH") if reference != Some("") => Operation::UploadChunk,
        (None, "PUT") if reference != Some("") => Operation::UploadFinish,
        (None, "GET") if reference != Some("") => Operation::UploadState,
        (None, "DELETE") if reference != Some("") => Operation::UploadCancel,
        (Some("base" | "catalog" | "tags" | "referrers"), _) => Operation::NoMethod("GET, HEAD"),
        (Some("manifest"), _) => Operation::NoMethod("GET, HEAD, PUT, DELETE"),
        (Some("blob"), _) => Operation::NoMethod("GET, HEAD, DELETE"),
        _ if reference == Some("") => Operation::NoMethod("POST"),
        _ => Operation::NoMethod("GET, HEAD, PATCH, PUT, DELETE"),
    };
    Target { operation, repository, reference: reference.filter(|reference| !reference.is_empty()) }
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ])
}

/// Paths built from tokens of the grammar, most of them almost valid.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["manifests", "blobs", "uploads", "tags", "list", "referrers", "_catalog", "v2"])
            .prop_map(String::from),
        1 => Just(DIGEST.to_owned()),
        2 => "[a-cA0._-]{0,4}",
        1 => "[a-c:%=~+.]{0,3}",
    ];
    prop::collection::vec(segment, 0..7).prop_map(|segments| format!("/v2/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn as_the_expressions_say(method in method(), path in path()) {
        prop_assert_eq!(parse(&method, &path), by_expression(&method, &path));
    }
}

proptest! {
    #[test]
    fn never_panics(method in method(), path in any::<String>()) {
        parse(&method, &path);
        parse(&method, &format!("/v2/{path}"));
        parse(&method, &format!("/v2/a/{path}/blobs/uploads/{path}"));
    }

    #[test]
    fn a_request_of_the_api_needs_no_escape(method in method(), path in path(), sent in any::<String>()) {
        for path in [&*path, &sent] {
            let decoded = decode(path);
            if parse(&method, &decoded).operation != Operation::NoPath {
                prop_assert!(decoded.parse::<http::Uri>().is_ok_and(|uri| uri.path() == decoded), "{}", decoded);
                prop_assert_eq!(decode(&decoded), &*decoded);
            }
        }
    }

    #[test]
    fn what_is_named_stands_in_the_path(method in method(), path in path()) {
        let target = parse(&method, &path);
        if let Some(repository) = target.repository {
            prop_assert!(name::is_repository(repository));
            let prefix = format!("/v2/{repository}/");
            prop_assert!(path.starts_with(&prefix));
            prop_assert!(path.ends_with(target.reference.unwrap_or("/") ) || path.ends_with("/list"));
        }
    }
}
