use proptest::prelude::*;

use super::*;

#[test]
fn only_what_is_nothing_else_to_the_rules_is_elsewhere() {
    for (place, expected) in [
        ("/v2/team/app/blobs/uploads/u-1?_state=x", Place::Usual),
        ("/v2/team/app/uploads/u-1", Place::Elsewhere),
        ("/v2/team/app/uploads/u-1?state=a%2Fb", Place::Elsewhere),
        ("/v2/team/app/upload/u-1/3", Place::Elsewhere),
        ("/v2/_uploads/u-1", Place::Elsewhere),
        ("/v2/uploads/u-1", Place::Elsewhere),
        ("/uploads/u-1?for=team/app", Place::Elsewhere),
        // The query names the upload.
        ("/v2/team/app/blobs/uploads/?id=u-1", Place::Elsewhere),
        ("/v2/team/other/blobs/uploads/?id=u-1", Place::Other),
        ("/v2/team/app/manifests/latest?id=u-1", Place::Other),
        ("/v2/team/app/blobs/uploads/?", Place::Other),
        // The usual path, in a spelling that clients may not send.
        ("/v2/team%2Fapp/blobs/uploads/u-1?_state=x", Place::Elsewhere),
        ("/v2/team%2Fother/blobs/uploads/u-1", Place::Other),
        ("/v2/team%2Fapp/blobs/uploads/?id=u-1", Place::Elsewhere),
        ("/v2/team/app/blobs/uploads/%2e%2e", Place::Other),
        // Other parts of the API.
        ("/v2/", Place::Other),
        ("/v2", Place::Other),
        ("/v2/_catalog", Place::Other),
        ("/v2/team/app/manifests/latest", Place::Other),
        ("/v2/team/app/tags/list", Place::Other),
        ("/v2/team/app/blobs/uploads/", Place::Other),
        ("/v2/team/app/%6danifests/latest", Place::Other),
        ("/auth/token", Place::Other),
        // Other repositories.
        ("/v2/team/other/blobs/uploads/u-1", Place::Other),
        ("/v2/team/other/uploads/u-1", Place::Other),
        ("/v2/team/app/sub/uploads/u-1", Place::Other),
        ("/v2/team/app/sub/blobs/uploads/u-1", Place::Other),
        ("/v2/team/application/upload/u-1", Place::Other),
        ("/v2/other/upload/u-1", Place::Other),
        ("/v2/uploads/uploads/u-1", Place::Other),
        // Places that no request can reach, or that can be read in two ways.
        ("", Place::Other),
        ("uploads/u-1", Place::Other),
        ("/v2/team/app/uploads/%2e%2e/u-1", Place::Other),
        ("/v2/team/app/uploads/a b", Place::Other),
        ("/v2/team/app/uploads/%00", Place::Other),
        ("/v2/team/app/uploads/%5c", Place::Other),
        ("/v2/team/app/uploads/%ff", Place::Other),
    ] {
        assert_eq!(classify(place, "team/app"), expected, "{place}");
    }
    assert_eq!(classify(&format!("/uploads/{}", "a".repeat(LONGEST)), "team/app"), Place::Other);
}

#[test]
fn references_are_resolved_as_the_rfc_has_it() {
    const ASKED: &str = "/b/c/d;p?q";
    for (reference, expected) in [
        ("g", Some("/b/c/g")),
        ("./g", Some("/b/c/g")),
        ("g/", Some("/b/c/g/")),
        ("/g", Some("/g")),
        ("//g", None),
        ("g:h", None),
        ("https://g/h", None),
        ("?y", Some("/b/c/d;p?y")),
        ("g?y", Some("/b/c/g?y")),
        ("g?y#s", Some("/b/c/g?y")),
        ("", Some("/b/c/d;p?q")),
        (".", Some("/b/c/")),
        ("..", Some("/b/")),
        ("../g", Some("/b/g")),
        ("../../../g", Some("/g")),
        ("/./g", Some("/g")),
        ("/../g", Some("/g")),
        ("g?y/../x", Some("/b/c/g?y/../x")),
    ] {
        assert_eq!(resolve(ASKED, reference).as_deref(), expected, "{reference}");
    }
}

#[test]
fn a_client_adds_nothing_but_the_digest() {
    for (query, expected) in [
        (None, Some("/u?a=1")),
        (Some("digest=sha256%3Aab"), Some("/u?a=1&digest=sha256%3Aab")),
        (Some("a=2&name=other&d%69gest=x&from=b&mount=c&%61=3"), Some("/u?a=1&d%69gest=x")),
        (Some("digest=x;a=2"), None),
    ] {
        assert_eq!(with_digest("/u?a=1", query).as_deref(), expected, "{query:?}");
    }
    assert_eq!(with_digest("/u", Some("digest=x")).as_deref(), Some("/u?digest=x"));
}

#[test]
fn what_no_address_may_hold_is_escaped_and_nothing_else() {
    for (place, expected) in [
        ("/v2/a/blobs/uploads/u-1?_state=a%3D&b=c+d", "/v2/a/blobs/uploads/u-1?_state=a%3D&b=c+d"),
        (r#"/u?s={"a":[1]}|^`\"#, "/u?s=%7B%22a%22:%5B1%5D%7D%7C%5E%60%5C"),
        ("/u 1/\u{fc}", "/u%201/%C3%BC"),
        ("/u?s=%zz%4&t=100%", "/u?s=%25zz%254&t=100%25"),
    ] {
        assert_eq!(escaped(place), expected);
        assert_eq!(escaped(expected), expected);
    }
}

proptest! {
    #[test]
    fn nothing_of_the_api_but_its_own_uploads_is_elsewhere(
        place in "/(v2|v%32)/(team/app|team|_catalog|a)?/?(blobs/|sub/)?(uploads|manifests|tags|%75ploads)?/?[a-z.%/?]{0,8}",
    ) {
        if classify(&place, "team/app") == Place::Elsewhere {
            let path = target::decode(place.split('?').next().unwrap());
            for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
                let target = target::parse(&method, &path);
                let is_own_upload = target.repository == Some("team/app") && path.contains("/blobs/uploads/");
                prop_assert!(target.operation == Operation::NoPath || is_own_upload, "{:?}", target);
            }
        }
    }

    #[test]
    fn any_text_is_resolved_without_panic(asked in "/.*", reference in ".*") {
        if let Some(place) = resolve(&asked, &reference) {
            classify(&place, "team/app");
        }
    }
}
