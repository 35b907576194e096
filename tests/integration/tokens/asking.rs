//! The token endpoint: how each client requests tokens, and which requests are refused.

use serde_json::json;

use super::*;
use crate::harness::http2;

const PULL: &str = "repository:team/app:pull";
const BOTH: &str = "repository:team/app:pull,push";

#[test]
fn docker_requests_a_token() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let query =
        format!("account=alice&scope={}&service={SERVICE}", BOTH.replace(':', "%3A").replace('/', "%2F"));
    let response = get(&mut client, &query, Some(ALICE));
    let given = json(&response);
    assert_eq!(response.all("cache-control"), ["no-store"]);
    assert_eq!(response.all("content-type"), ["application/json"]);
    assert_eq!((&given["token"], &given["expires_in"]), (&given["access_token"], &json!(300)));
    assert!(given["issued_at"].as_str().unwrap().ends_with('Z') && given.get("refresh_token").is_none());
    let token = text(&given["token"]);
    assert_eq!(allowed(&token), [BOTH]);
    let (_, claims) = signer::open(&token);
    assert_eq!(
        (&claims["sub"], &claims["aud"], &claims["iss"]),
        (&json!("alice"), &json!(SERVICE), &json!("tidegate"))
    );

    let line = tidegate.access.wait_for("the line of the request", |line| line.contains("/auth/token"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["operation"], &line["user"], &line["status"]),
        (&json!("token"), &json!("alice"), &json!(200))
    );
    assert!(!line.to_string().contains(&token) && !line.to_string().contains("scope"), "{line}");
    assert_eq!(client.exchange("GET /v2/team/app/tags/list", &[&bearer(&token)]).status, 200);
}

#[test]
fn docker_requests_an_identity_token() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let login = format!("account=alice&client_id=docker&offline_token=true&service={SERVICE}");
    let given = json(&get(&mut client, &login, Some(ALICE)));
    let kept = text(&given["refresh_token"]);
    assert_eq!(allowed(&text(&given["token"])), [] as [&str; 0]);
    let form = format!(
        "client_id=docker&grant_type=refresh_token&refresh_token={kept}&scope=repository%3Ateam%2Fapp%3Apull&service={SERVICE}"
    );
    let given = json(&post(&mut client, &form));
    assert_eq!(allowed(&text(&given["access_token"])), [PULL]);
}

#[test]
fn containerd_requests_a_token() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let form = |password: &str| {
        format!(
            "client_id=containerd-client&grant_type=password&password={password}\
             &scope=repository%3Ateam%2Fapp%3Apull%2Cpush+repository%3Apublic%2Fapp%3Apull&service={SERVICE}&username=alice"
        )
    };
    let token = token(&post(&mut client, &form("wonderland")));
    assert_eq!(allowed(&token), [BOTH, "repository:public/app:pull"]);
    let kept = json(&post(&mut client, &format!("{}&access_type=offline", form("wonderland"))));
    let form =
        format!("grant_type=refresh_token&refresh_token={}&service={SERVICE}", text(&kept["refresh_token"]));
    assert_eq!(post(&mut client, &form).status, 200);
}

#[test]
fn a_wrong_password_is_401_both_ways() {
    let (_recorder, tidegate) = start();
    let wrong = [("alice", "wrong"), ("nobody", "wonderland"), ("alice", "")];
    for user in wrong {
        let mut client = Client::connect(&tidegate);
        let form = format!("grant_type=password&username={}&password={}&client_id=c", user.0, user.1);
        for response in [get(&mut client, "", Some(user)), post(&mut Client::connect(&tidegate), &form)] {
            assert_eq!((response.status, response.error_code().as_str()), (401, "UNAUTHORIZED"));
            assert_eq!(
                response.all("www-authenticate"),
                ["Basic realm=\"registry.localhost\",charset=\"UTF-8\""]
            );
        }
    }
}

#[test]
fn podman_and_skopeo_request_a_token() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let query = format!("account=alice&scope={BOTH}&scope=repository:public/app:pull&service={SERVICE}");
    assert_eq!(allowed(&token(&get(&mut client, &query, Some(ALICE)))).len(), 2);
    let kept = json(&get(&mut client, "offline_token=true", Some(ALICE)));
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&scope=repository:team/app:pull&scope=repository:team/app:push\
         &scope=repository:public/app:pull",
        text(&kept["refresh_token"])
    );
    assert_eq!(allowed(&token(&post(&mut client, &form))), [BOTH, "repository:public/app:pull"]);
    // skopeo sends an empty user and password when it has none.
    let nobody = token(&get(&mut client, "scope=repository:public/app:pull", Some(("", ""))));
    assert_eq!(signer::open(&nobody).1["sub"], "");
}

#[test]
fn anonymous_clients_get_the_rights_of_everybody() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let asked = ["repository:public/app:pull,push", BOTH, "registry:catalog:*"];
    let token = obtain(&mut client, None, &asked);
    assert_eq!(allowed(&token), ["repository:public/app:pull"]);
    assert_eq!(client.exchange("GET /v2/public/app/tags/list", &[&bearer(&token)]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[&bearer(&token)]).status, 200);
    assert!(json(&get(&mut client, "offline_token=true", None)).get("refresh_token").is_none());
}

#[test]
fn a_token_grants_what_is_requested_and_allowed() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let asked = [
        "repository:team/app:*",
        "repository:other/app:pull",
        "registry:catalog:*",
        "repository(plugin):team/app:pull",
        "x:y:z",
        "",
    ];
    assert_eq!(allowed(&obtain(&mut client, Some(ALICE), &asked)), [BOTH]);
    assert_eq!(allowed(&obtain(&mut client, Some(BOB), &asked)), [] as [&str; 0]);
    let everything =
        ["repository:team/app:pull,push,delete", "repository:other/app:pull", "registry:catalog:*"];
    assert_eq!(allowed(&obtain(&mut client, Some(ROOT), &asked)), everything);
}

#[test]
fn invalid_token_requests_are_refused() {
    let (recorder, tidegate) = start();
    let bad_forms = [
        "",
        "grant_type=password&username=alice",
        "grant_type=client_credentials&username=alice&password=wonderland",
        "username=alice&password=wonderland",
        "grant_type=password&username=alice&password=%FF",
        "grant_type=password&username=alice&password=wonderland%00",
        "grant_type=password&username=%00alice&password=wonderland",
        "grant_type=password&username=alice&password=wonderland&service=another",
    ];
    for form in bad_forms {
        let response = post(&mut Client::connect(&tidegate), form);
        assert_eq!((response.status, response.error_code().as_str()), (400, "UNSUPPORTED"), "{form}");
    }
    let long = format!("grant_type=password&username=alice&password={}", "a".repeat(64 * 1024));
    assert_eq!(post(&mut Client::connect(&tidegate), &long).status, 400);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("POST /auth/token", &["Content-Type: application/json", "Content-Length: 2"]));
    client.send("{}");
    assert_eq!(client.response(false).unwrap().status, 400);
    for query in [format!("service={SERVICE}&service={SERVICE}"), "service=another".to_owned()] {
        assert_eq!(get(&mut Client::connect(&tidegate), &query, Some(ALICE)).status, 400, "{query}");
    }
    for method in ["HEAD", "PUT", "PATCH", "DELETE"] {
        let response = Client::connect(&tidegate).exchange(&format!("{method} /auth/token"), &[]);
        assert_eq!((response.status, response.all("allow")), (405, vec!["GET, POST"]), "{method}");
    }
    let malformed = ["Basic !", "Bearer abc", "Digest x"];
    for field in malformed {
        let field = format!("Authorization: {field}");
        assert_eq!(Client::connect(&tidegate).exchange("GET /auth/token", &[&field]).status, 401, "{field}");
    }
    assert_eq!(recorder.record().requests.len(), 0, "none of this may reach the registry");
}

#[test]
fn any_number_of_scopes_may_be_asked_for_and_the_last_that_fit_are_granted() {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url()).set("limits.header_bytes", r#""16KiB""#);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let scope = |number: usize| format!("repository:team/app{number}:pull");
    let scopes = |count: usize| (0..count).map(scope).collect::<Vec<_>>();
    let granted_for = |client: &mut Client, scopes: &[String]| {
        let query = format!("scope={}", scopes.join("+"));
        allowed(&token(&get(client, &query, Some(ALICE))))
    };
    let some = scopes(65);
    assert_eq!(granted_for(&mut client, &some), some);
    let twice = [&some[..], &["repository:team/app0:push".to_owned()]].concat();
    let granted = granted_for(&mut client, &twice);
    assert_eq!((granted.len(), granted[0].as_str()), (65, "repository:team/app0:pull,push"));
    let same = vec![scope(7); 300];
    assert_eq!(granted_for(&mut client, &same), [scope(7)]);

    let many = scopes(400).join("+");
    let form = format!("grant_type=password&username=alice&password=wonderland&scope={many}");
    for response in [
        get(&mut client, &format!("scope={many}"), Some(ALICE)),
        post(&mut Client::connect(&tidegate), &form),
    ] {
        let token = token(&response);
        let granted = allowed(&token);
        assert!(granted.len() > 65 && granted == scopes(400)[400 - granted.len()..], "{granted:?}");
        // Beside a token of this length, there is room for the rest of a request.
        let kind = format!("Accept: {}", "a".repeat(1000));
        let line = "GET /v2/team/app399/manifests/one";
        assert_eq!(client.exchange(line, &[&bearer(&token), &kind]).status, 200);
    }
}

#[test]
fn the_endpoint_exists_only_in_token_mode() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /auth/token", &[&http1::authorized()]).status, 404);
    let (_recorder, tidegate) = start();
    for path in ["/auth/token/", "/auth", "/auth/tokens", "/v2/auth/token"] {
        let response = Client::connect(&tidegate).exchange(&format!("GET {path}"), &[&authorization(ROOT)]);
        assert_eq!(response.status, 404, "{path}");
    }
}

#[test]
fn the_endpoint_works_over_http2() {
    let (_recorder, tidegate) = start();
    let mut client = http2::Client::connect(&tidegate);
    let field = authorization(ALICE);
    let answer =
        client.exchange(http2::request("GET", "localhost", &format!("/auth/token?scope={PULL}"), &[&field]));
    assert_eq!(answer.status(), 200);
    let kind = "content-type: application/x-www-form-urlencoded";
    let (response, mut stream) =
        client.send(http2::request("POST", "localhost", "/auth/token", &[kind]), false);
    client.data(&mut stream, b"grant_type=password&username=alice&password=wonderland", true).unwrap();
    assert_eq!(client.answer(response).unwrap().status(), 200);
}

#[test]
fn a_strangers_token_requests_do_not_delay_others() {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url()).set("server.threads", "1");
    for name in ["token.key", "token.crt"] {
        std::fs::remove_file(settings.path().join(name)).unwrap();
    }
    make_key(&settings, &["--rsa"]);
    let tidegate = Tidegate::start(settings);
    let (mut stranger, mut other) = (http2::Client::connect(&tidegate), Client::connect(&tidegate));
    let asked: Vec<_> = (0..100)
        .map(|_| stranger.send(http2::request("GET", "localhost", "/auth/token", &[]), true).0)
        .collect();
    assert_eq!(other.exchange("GET /v2/", &[]).status, 401);
    for response in asked {
        assert_eq!(stranger.answer(response).unwrap().status(), 200);
    }
    let last = tidegate.access.wait_after(100, "the last line", |_| true);
    assert!(
        last.contains("/auth/token"),
        "the other one was answered before the last token was signed: {last}"
    );
}

#[test]
fn basic_is_accepted_but_never_requested() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/team/app/tags/list", &[&authorization(ALICE)]).status, 200);
    let refused = client.exchange("GET /v2/team/app/tags/list", &[&authorization(BOB)]);
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "DENIED"));
    let wrong = client.exchange("GET /v2/", &[&authorization(("alice", "wrong"))]);
    assert_eq!(wrong.status, 401);
    assert!(wrong.all("www-authenticate")[0].starts_with("Bearer "), "{wrong:?}");
}

#[test]
fn a_user_name_that_is_not_utf_8_gets_no_token() {
    let (_recorder, tidegate) = start();
    let hash = crate::harness::tidegate::htpasswd(&[("x", "y")], 4);
    let line = [b"\xff".as_slice(), hash.trim_start_matches('x').as_bytes()].concat();
    std::fs::write(file(&tidegate, "htpasswd"), line).unwrap();
    use base64::Engine as _;
    let field = format!("Authorization: Basic {}", base64::prelude::BASE64_STANDARD.encode(b"\xff:y"));
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /auth/token", &[&field]);
    assert_eq!(response.status, 400, "{}", response.text());
    assert!(response.text().contains("not UTF-8"), "{}", response.text());
    assert_eq!(client.exchange("GET /v2/", &[&field]).status, 200);
}

#[test]
fn the_registry_learns_the_user_and_not_the_token() {
    for (how, of_alice) in [("user", vec!["Basic YWxpY2U6"]), ("none", vec![])] {
        let recorder = Recorder::start();
        let settings = settings(&recorder.url()).set("upstream.authorization", &format!("{how:?}"));
        let tidegate = Tidegate::start(settings);
        let mut client = Client::connect(&tidegate);
        let (alice, nobody) = (obtain(&mut client, Some(ALICE), &[PULL]), obtain(&mut client, None, &[]));
        client.exchange("GET /v2/team/app/tags/list", &[&bearer(&alice)]);
        client.exchange("GET /v2/", &[&bearer(&nobody)]);
        let requests = recorder.settle().unwrap().requests;
        let seen: Vec<_> = requests.iter().map(|seen| seen.all("authorization")).collect();
        assert_eq!(seen, [of_alice, vec![]], "{how}");
    }
}

#[test]
fn too_many_wrong_passwords_are_throttled_here_too() {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url()).set("auth.throttle.failures", "2");
    let tidegate = Tidegate::start(settings);
    for attempt in 0..2 {
        let wrong = format!("wrong{attempt}");
        assert_eq!(get(&mut Client::connect(&tidegate), "", Some(("alice", &wrong))).status, 401);
    }
    let response = get(&mut Client::connect(&tidegate), "", Some(("alice", "wrong")));
    assert_eq!((response.status, response.all("retry-after").len()), (429, 1));
}

#[test]
fn a_missing_form_times_out() {
    let recorder = Recorder::start();
    for (limit, time) in [("limits.idle_timeout", r#""300ms""#), ("limits.handshake_timeout", r#""2s""#)] {
        let tidegate = Tidegate::start(settings(&recorder.url()).set(limit, time));
        let mut client = Client::connect(&tidegate);
        let kind = "Content-Type: application/x-www-form-urlencoded";
        client.send(http1::head("POST /auth/token", &[kind, "Content-Length: 100"]));
        client.send("grant_type=");
        assert_eq!(client.response(false).unwrap().status, 408, "{limit}");
    }
}
