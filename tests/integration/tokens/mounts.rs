//! Mounts in token mode: which scopes the challenge names, and when a mount is left out.

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const BOTH: &str = "repository:team/app:pull,push repository:public/base:pull";

fn mount(client: &mut Client, query: &str, authorization: &str) -> Response {
    let line = format!("POST /v2/team/app/blobs/uploads/{query}");
    client.exchange(&line, &[authorization, "Content-Length: 0"])
}

fn from(source: &str) -> String {
    format!("?mount={DIGEST}&from={source}")
}

/// The scopes in the challenge, and the error that it names.
#[track_caller]
fn asked(response: &Response) -> (String, bool) {
    assert_eq!(response.status, 401, "{}", response.text());
    let challenge = response.all("www-authenticate").join("\n");
    assert_eq!(challenge.matches("scope=\"").count(), 1, "{challenge}");
    let scope = challenge.split("scope=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    (scope, challenge.contains("error=\"insufficient_scope\""))
}

/// The target with which the request has reached the registry.
#[track_caller]
fn forwarded(recorder: &Recorder) -> String {
    let requests = recorder.settle().unwrap().requests;
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests[0].head.target.clone()
}

#[test]
fn without_credentials_a_mount_asks_for_the_scopes_of_both_repositories() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let target = "repository:team/app:pull,push";
    for (query, scope) in [
        (from("public/base"), BOTH),
        (from("secret/base"), "repository:team/app:pull,push repository:secret/base:pull"),
        (format!("?from=public%2Fbase&mount={DIGEST}&x"), BOTH),
        // These are never mounts from another repository.
        (from("team/app"), target),
        (format!("?mount={DIGEST}"), target),
        ("?from=public/base".to_owned(), target),
        (from("public/base&from=secret/base"), target),
        (from("public/base;x"), target),
        (from("%22public"), target),
    ] {
        assert_eq!(asked(&mount(&mut client, &query, "X: y")), (scope.to_owned(), false), "{query}");
    }
    let line = format!("GET /v2/team/app/tags/list{}", from("public/base"));
    assert_eq!(asked(&client.exchange(&line, &[])), ("repository:team/app:pull".to_owned(), false));
}

#[test]
fn a_token_without_the_source_is_refused_where_the_rules_grant_it() {
    let (recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let narrow = obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]);
    let refused = mount(&mut client, &from("public/base"), &bearer(&narrow));
    assert_eq!(asked(&refused), (BOTH.to_owned(), true));
    assert!(
        refused.text().contains("the token does not allow repository:public/base:pull"),
        "{}",
        refused.text()
    );
    assert_eq!(recorder.settle().unwrap().requests.len(), 0, "no upload is left behind");

    // A token for neither repository gets the same challenge.
    let none = obtain(&mut client, Some(ALICE), &["repository:team/other:pull"]);
    assert_eq!(asked(&mount(&mut client, &from("public/base"), &bearer(&none))), (BOTH.to_owned(), true));

    // The token that the challenge asks for mounts.
    let wide = obtain(&mut client, Some(ALICE), &[&BOTH.replace(' ', "+")]);
    assert_eq!(mount(&mut client, &from("public/base"), &bearer(&wide)).status, 200);
    assert_eq!(forwarded(&recorder), format!("/v2/team/app/blobs/uploads/{}", from("public/base")));
}

#[test]
fn where_the_rules_do_not_grant_the_source_the_mount_becomes_an_upload() {
    let (recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let asked = ["repository:team/app:pull,push", "repository:secret/base:pull"];
    let alice = bearer(&obtain(&mut client, Some(ALICE), &asked));
    for query in [
        from("secret/base"),
        format!("?mount={DIGEST}"),
        "?from=public/base".to_owned(),
        from("public/base&from=team/x"),
    ] {
        assert_eq!(mount(&mut client, &query, &alice).status, 200, "{query}");
        assert_eq!(forwarded(&recorder), "/v2/team/app/blobs/uploads/", "{query}");
    }
}

#[test]
fn with_a_password_in_token_mode_the_rules_alone_decide_about_a_mount() {
    let (recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    for (source, query) in [("public/base", from("public/base")), ("secret/base", String::new())] {
        assert_eq!(mount(&mut client, &from(source), &authorization(ALICE)).status, 200, "{source}");
        assert_eq!(forwarded(&recorder), format!("/v2/team/app/blobs/uploads/{query}"));
    }
}
