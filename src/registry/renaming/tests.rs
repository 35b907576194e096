use proptest::prelude::*;

use super::*;

fn hub() -> Renaming {
    Renaming::stripping("hub/")
}

#[test]
fn a_name_of_the_registry_is_what_stands_behind_the_prefix() {
    for (outer, inner) in [
        ("hub/team/app", Some("team/app")),
        ("hub/hub/app", Some("hub/app")),
        ("hub", None),
        ("hubs/app", None),
        ("team/hub/app", None),
    ] {
        assert_eq!(hub().inner(outer), inner, "{outer}");
    }
    assert_eq!(Renaming::default().inner("hub/app"), Some("hub/app"));
    assert!(hub().is_needed() && !Renaming::default().is_needed());
}

#[test]
fn paths_of_a_request() {
    for (outer, inner) in [
        ("/v2/hub/team/app/manifests/v1", Some("/v2/team/app/manifests/v1")),
        ("/v2/hub/blobs/blobs/uploads/?mount=a", Some("/v2/blobs/blobs/uploads/?mount=a")),
        ("/v2/hub/a/tags/list?n=5&last=hub/a", Some("/v2/a/tags/list?n=5&last=hub/a")),
        ("/v2/team/app/manifests/v1", None),
        ("/v2/hub/", None),
        ("/v2/", None),
        ("/hub/a", None),
    ] {
        assert_eq!(hub().inner_path(outer).as_deref(), inner, "{outer}");
    }
}

#[test]
fn only_a_path_of_a_repository_gets_the_prefix() {
    for (inner, outer) in [
        ("/v2/team/app/blobs/uploads/u-1?_state=a", "/v2/hub/team/app/blobs/uploads/u-1?_state=a"),
        ("/v2/team/other/tags/list?last=v1&n=1", "/v2/hub/team/other/tags/list?last=v1&n=1"),
        ("/v2/team%2Fapp/blobs/uploads/u-1", "/v2/hub/team%2Fapp/blobs/uploads/u-1"),
        ("/v2/team/app/uploads/u-1", "/v2/hub/team/app/uploads/u-1"),
        ("/v2/team/app", "/v2/hub/team/app"),
        ("/v2/team/application/uploads/u-1", "/v2/team/application/uploads/u-1"),
        ("/v2/", "/v2/"),
        ("/v2/_catalog?n=1", "/v2/_catalog?n=1"),
        ("/v2/token?scope=repository:team/app:pull", "/v2/token?scope=repository:team/app:pull"),
        ("/_uploads/u-1", "/_uploads/u-1"),
        ("/blobs/v2/team/app/tags/list", "/blobs/v2/team/app/tags/list"),
    ] {
        assert_eq!(hub().outer_path(inner, Some("team/app")), outer);
        assert_eq!(Renaming::default().outer_path(inner, Some("team/app")), inner);
    }
}

#[test]
fn scopes_of_repositories_get_the_prefix() {
    for (inner, outer) in [
        ("repository:team/app:pull", "repository:hub/team/app:pull"),
        ("repository:a:pull,push repository:b:pull", "repository:hub/a:pull,push repository:hub/b:pull"),
        ("repository(plugin):a:pull", "repository(plugin):hub/a:pull"),
        ("registry:catalog:*", "registry:catalog:*"),
        ("repository:a", "repository:a"),
        ("", ""),
    ] {
        assert_eq!(hub().outer_scopes(inner), outer);
    }
}

#[test]
fn a_text_shows_the_name_that_the_client_knows() {
    for (text, expected) in [
        ("unknown repository name=team/app", "unknown repository name=hub/team/app"),
        ("team/app", "hub/team/app"),
        ("\"team/app\" is not known.", "\"hub/team/app\" is not known."),
        ("there is no team/app.", "there is no hub/team/app."),
        ("GET /v2/team/app/manifests/v1: no", "GET /v2/hub/team/app/manifests/v1: no"),
        ("http://r:5000/v2/team/app/tags/list", "http://r:5000/v2/hub/team/app/tags/list"),
        ("registry.test/team/app:v1 is gone", "registry.test/hub/team/app:v1 is gone"),
        ("https://registry.test/team/app:v1", "https://registry.test/hub/team/app:v1"),
        ("localhost/team/app@sha256:00", "localhost/hub/team/app@sha256:00"),
        (
            "/r/docker/registry/v2/repositories/team/app/_layers",
            "/r/docker/registry/v2/repositories/hub/team/app/_layers",
        ),
        ("repository:team/app:pull", "repository:hub/team/app:pull"),
        ("team/base and team/app", "hub/team/base and hub/team/app"),
    ] {
        assert_eq!(hub().text(text, &["team/app", "team/base"]).as_deref(), Some(expected));
    }
    for text in
        ["manifest unknown", "team/apps", "team/app/other", "my-team/app", "x/team/app", "hub/team/app", ""]
    {
        assert_eq!(hub().text(text, &["team/app"]), None, "{text}");
    }
}

#[test]
fn an_error_names_the_repository_in_every_text() {
    let body = br#"{"errors":[{"code":"NAME_UNKNOWN","detail":{"name":"team/app","n":[1,null,"team/app"]},
        "message":"repository team/app is not known"}]}"#;
    let renamed: Value = serde_json::from_slice(&hub().error_body(body, &["team/app"]).unwrap()).unwrap();
    let expected = serde_json::json!({"errors": [{
        "code": "NAME_UNKNOWN",
        "detail": {"name": "hub/team/app", "n": [1, null, "hub/team/app"]},
        "message": "repository hub/team/app is not known",
    }]});
    assert_eq!(renamed, expected);
    assert_eq!(hub().error_body(br#"{"team\/app":1}"#, &["team/app"]).unwrap(), br#"{"hub/team/app":1}"#);
    for body in [&b"{}"[..], b"team/app", b"\xff", br#"{"errors":[{"code":"UNKNOWN"}]}"#] {
        assert_eq!(hub().error_body(body, &["team/app"]), None);
    }
}

#[test]
fn an_error_about_a_repository_with_the_name_of_a_field_is_still_an_error() {
    for name in ["errors", "code", "message", "detail", "name"] {
        let body = format!(
            r#"{{"errors":[{{"code":"NAME_UNKNOWN","detail":{{"name":"{name}"}},"message":"no"}}]}}"#
        );
        let expected = body.replace(&format!(":\"{name}\""), &format!(":\"hub/{name}\""));
        assert_eq!(hub().error_body(body.as_bytes(), &[name]).unwrap(), expected.as_bytes());
    }
}

#[test]
fn a_list_of_tags_is_that_of_the_repository_asked_for() {
    let renamed = |body: &str| tags_of("hub/a", body.as_bytes()).map(|body| String::from_utf8(body).unwrap());
    assert_eq!(
        renamed(r#"{"name":"a","tags":["v1", "a"]}"#).unwrap(),
        r#"{"name":"hub/a","tags":["v1", "a"]}"#
    );
    assert_eq!(
        renamed(r#"{"tags":null,"n\u0061me":"a","x":1}"#).unwrap(),
        r#"{"name":"hub/a","tags":null,"x":1}"#
    );
    assert_eq!(renamed(r#"{"tags":[]}"#).unwrap(), r#"{"tags":[]}"#);
    assert_eq!(renamed("[]"), None);
    assert_eq!(renamed("<html>"), None);
}

const NAME: &str = "[a-z0-9]{1,3}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,4}){0,3}";

proptest! {
    #[test]
    fn a_name_comes_back_from_the_registry_as_it_went(prefix in "([a-z0-9]{1,3}/){1,3}", inner in NAME) {
        let renaming = Renaming::stripping(&prefix);
        let outer = renaming.outer(&inner);
        prop_assert_eq!(renaming.inner(&outer), Some(&*inner));
        prop_assert!(name::is_repository(&outer));
        for rest in ["manifests/v1", "tags/list?n=1", "blobs/uploads/", "blobs/uploads/u-1?_state=x%2Fy"] {
            let path = format!("/v2/{outer}/{rest}");
            let sent = renaming.inner_path(&path).unwrap();
            prop_assert_eq!(&sent, &format!("/v2/{inner}/{rest}"));
            prop_assert_eq!(renaming.outer_path(&sent, None), path);
        }
        let scope = format!("repository:{inner}:pull,push");
        prop_assert_eq!(renaming.outer_scopes(&scope), format!("repository:{outer}:pull,push"));
    }

    #[test]
    fn no_text_shows_a_name_of_the_registry(
        parts in prop::collection::vec("team/app|[ =:\"',./]|name|/v2/|hub/|registry.test/|é", 0..12)
    ) {
        let text = parts.concat();
        let shown = hub().text(&text, &["team/app"]).unwrap_or_else(|| text.clone());
        for (at, _) in shown.match_indices("team/app") {
            let (before, after) = (&shown[..at], &shown[at + "team/app".len()..]);
            prop_assert!(before.ends_with("hub/") || !is_a_name(before, after), "{shown}");
        }
        prop_assert_eq!(shown.replace("hub/", ""), text.replace("hub/", ""));
    }

    #[test]
    fn anything_is_read_without_panic(text in ".{0,60}", name in ".{0,5}") {
        let renaming = hub();
        _ = renaming.text(&text, &[&name]);
        _ = renaming.outer_path(&text, Some(&name));
        _ = renaming.outer_path(&format!("/v2/{text}"), Some(&name));
        _ = renaming.inner_path(&text);
        _ = renaming.outer_scopes(&text);
        _ = renaming.error_body(text.as_bytes(), &[&name]);
        _ = tags_of("hub/a", text.as_bytes());
        _ = repository_in(&text);
    }
}
