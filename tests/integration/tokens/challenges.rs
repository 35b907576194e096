//! The challenges of a 401.

use super::*;

fn challenge(response: &Response) -> String {
    assert_eq!(response.status, 401, "{}", response.text());
    let all = response.all("www-authenticate");
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].to_owned()
}

#[test]
fn without_credentials_every_path_asks_for_a_token() {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url()).set("token.service", r#""""#);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let host = format!("Host: {}", tidegate.host());
    let begin = format!("Bearer realm=\"https://{0}/auth/token\",service=\"{0}\"", tidegate.host());
    for (line, scope) in [
        ("GET /v2/", ""),
        ("GET /v2/unknown", ""),
        ("GET /v2/_catalog", ",scope=\"registry:catalog:*\""),
        ("HEAD /v2/public/app/manifests/one", ",scope=\"repository:public/app:pull\""),
        ("GET /v2/public/app/tags/list", ",scope=\"repository:public/app:pull\""),
        ("POST /v2/team/app/blobs/uploads/", ",scope=\"repository:team/app:pull,push\""),
        ("DELETE /v2/team/app/manifests/one", ",scope=\"repository:team/app:delete\""),
    ] {
        assert_eq!(challenge(&client.exchange(line, &[&host])), format!("{begin}{scope}"), "{line}");
    }
    let upper = client.exchange("GET /v2/", &["Host: LOCALHOST:443"]);
    let expected = "Bearer realm=\"https://LOCALHOST:443/auth/token\",service=\"localhost\"";
    assert_eq!(challenge(&upper), expected);
    let empty = client.exchange("GET /v2/", &[&host, &authorization(("", ""))]);
    assert_eq!(challenge(&empty), begin, "empty Basic credentials do not count as anonymous");
}

#[test]
fn an_insufficient_token_is_refused_with_the_scope_and_a_message() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let narrow = obtain(&mut client, Some(ALICE), &["repository:team/app:pull"]);
    let alice = obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push,delete"]);
    let nobody = obtain(&mut client, None, &["repository:public/app:pull"]);
    for (token, line, sentence, code) in [
        (
            &narrow,
            "POST /v2/team/app/blobs/uploads/",
            "the token does not allow repository:team/app:push",
            "DENIED",
        ),
        (
            &alice,
            "POST /v2/other/app/blobs/uploads/",
            "alice has no rights in other/app; ask the administrator of localhost for the right",
            "DENIED",
        ),
        (
            &alice,
            "DELETE /v2/team/app/manifests/one",
            "alice may not delete from team/app; ask the administrator of localhost for the right",
            "DENIED",
        ),
        (
            &nobody,
            "POST /v2/public/app/blobs/uploads/",
            "a client without a login may pull from public/app but may not push to it; log in: docker login localhost",
            "UNAUTHORIZED",
        ),
        (
            &nobody,
            "GET /v2/team/app/tags/list",
            "a client without a login has no rights in team/app; log in: docker login localhost",
            "UNAUTHORIZED",
        ),
    ] {
        let response = client.exchange(line, &[&bearer(token), "Content-Length: 0"]);
        assert_eq!(response.error_code(), code, "{line}");
        assert!(response.text().contains(sentence), "{line}: {}", response.text());
        let told = format!("error=\"insufficient_scope\",error_description=\"{sentence}\"");
        let challenge = challenge(&response);
        assert!(challenge.ends_with(&told) && challenge.contains(",scope=\"repository:"), "{challenge}");
    }
}

#[test]
fn an_invalid_token_is_refused_with_the_reason() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /v2/public/app/tags/list", &[&bearer("abc")]);
    let expected = format!(
        "Bearer realm=\"https://localhost/auth/token\",service=\"{SERVICE}\",scope=\"repository:public/app:pull\",\
         error=\"invalid_token\",error_description=\"the token is not one of this registry\""
    );
    assert_eq!(challenge(&response), expected);
    assert_eq!(response.error_code(), "UNAUTHORIZED");
    let log = tidegate.access.wait_for("its line", |line| line.contains("not one of this registry"));
    assert!(log.contains("\"reason\""), "{log}");
}

#[test]
fn behind_a_proxy_the_realm_has_the_clients_scheme() {
    let recorder = Recorder::start();
    let tidegate =
        Tidegate::start(settings(&recorder.url()).set("server.trusted_proxies", r#"["127.0.0.0/8"]"#));
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /v2/", &["X-Forwarded-Proto: http", "Host: inside.test:5000"]);
    let expected = format!("Bearer realm=\"http://inside.test:5000/auth/token\",service=\"{SERVICE}\"");
    assert_eq!(challenge(&response), expected);
}

#[test]
fn behind_a_proxy_realm_and_service_have_the_outer_name() {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.0/8"]"#)
        .set("token.service", r#""""#);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let fields = ["Host: 10.0.0.7:8080", "X-Forwarded-Host: registry.example.com"];
    let name = "registry.example.com";
    let expected = format!("Bearer realm=\"https://{name}/auth/token\",service=\"{name}\"");
    assert_eq!(challenge(&client.exchange("GET /v2/", &fields)), expected);
    let ask = [fields[0], fields[1], &authorization(ROOT)];
    let token = token(&client.exchange(&format!("GET /auth/token?service={name}"), &ask));
    assert_eq!(client.exchange("GET /v2/", &[fields[0], fields[1], &bearer(&token)]).status, 200);
    assert_eq!(
        client.exchange("GET /v2/", &["Host: Registry.Example.com.:443", &bearer(&token)]).status,
        200
    );
    assert_eq!(client.exchange("GET /v2/", &[fields[0], &bearer(&token)]).status, 401);
}

#[test]
fn the_service_is_the_host_where_none_is_configured() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(settings(&recorder.url()).set("token.service", r#""""#));
    let mut client = Client::connect(&tidegate);
    let response =
        client.exchange("GET /auth/token?service=one.test", &["Host: One.Test:443", &authorization(ROOT)]);
    let token = token(&response);
    assert_eq!(client.exchange("GET /v2/", &["Host: one.test", &bearer(&token)]).status, 200);
    let response = client.exchange("GET /v2/", &["Host: two.test", &bearer(&token)]);
    assert!(challenge(&response).ends_with("error_description=\"the token is for another service\""));
}

#[test]
fn in_basic_mode_tokens_are_not_mentioned() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[&bearer("a.b.c")]);
    assert_eq!(challenge(&response), "Basic realm=\"registry.localhost\",charset=\"UTF-8\"");
}
