//! Odd spellings of valid requests, and requests outside the API.

use super::{RULES, Setup};
use crate::harness::PASSWORD;
use crate::harness::http1::Client;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};

#[test]
fn an_odd_spelling_of_a_request_does_not_change_its_meaning() {
    let setup = Setup::start();
    let digest = setup.push_blob("alice", "team/an-app");
    let hex = &digest["sha256:".len()..];
    for path in [
        format!("/v2/team/an-app/blobs/sha256%3A{hex}"),
        format!("/v2/team/an%2dapp/blobs/{digest}"),
        format!("/%762/%74eam/an-app/%62lobs/{digest}"),
    ] {
        assert_eq!(setup.status("alice", &format!("GET {path}")), 200, "{path}");
        assert_eq!(setup.status("alice", &format!("HEAD {path}")), 200, "{path}");
        assert_eq!(setup.status("bob", &format!("GET {path}")), 403, "{path}");
        assert_eq!(setup.status("", &format!("GET {path}")), 401, "{path}");
        assert_eq!(setup.status("alice", &format!("DELETE {path}?_method=GET")), 403, "{path}");
    }
    let line = setup.tidegate.access.wait_for("the path as it was sent", |line| line.contains("an%2dapp"));
    assert!(line.contains(r#""team/an-app""#), "{line}");
    let overridden = setup.ask(
        "alice",
        &format!("POST /v2/team/an-app/blobs/{digest}"),
        &[
            "X-HTTP-Method-Override: DELETE",
            "X-Method-Override: DELETE",
            "X-HTTP-Method: DELETE",
            "Content-Length: 0",
        ],
    );
    assert_eq!(overridden.status, 405);
    assert_eq!(
        setup.status("alice", &format!("GET /v2/team/an-app/blobs/{digest}")),
        200,
        "it is still there"
    );
}

#[test]
fn requests_outside_the_api_are_refused_and_anonymous_clients_learn_nothing() {
    let setup = Setup::start();
    let name = "a".repeat(256);
    let paths = [
        "/v2/second",
        "/v2/a",
        "/v2/a/",
        "/v2/team/app/tags/list/",
        "/v2/team/app/blobs/uploads",
        "/v2/team/app/manifests/",
        "/v2/team/app/manifests/a/b",
        "/v2/team/App/tags/list",
        "/v2/team/a%252dpp/tags/list",
        "/v2/team:5000/app/tags/list",
        "/v2/_catalog/",
        "/v2/_catalog/tags/list",
        "/v2/team/app/blobs/sha256:00",
        &format!("/v2/{name}/tags/list"),
    ];
    for path in paths {
        for method in ["GET", "PUT", "DELETE"] {
            let response = setup.ask("root", &format!("{method} {path}"), &["Content-Length: 0"]);
            assert_eq!(response.status, 404, "{method} {path}");
            assert!(response.text().contains("not a request of the registry API"), "{}", response.text());
            assert_eq!(setup.status("", &format!("{method} {path}")), 401, "{method} {path}");
        }
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    for (line, methods) in [
        ("POST /v2/", "GET, HEAD"),
        ("DELETE /v2/_catalog", "GET, HEAD"),
        ("POST /v2/secret/app/manifests/x", "GET, HEAD, PUT, DELETE"),
        (&format!("PUT /v2/team/app/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("PUT /v2/team/app/blobs/uploads/", "POST"),
        ("POST /v2/team/app/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
    ] {
        let response = setup.ask("bob", line, &["Content-Length: 0"]);
        assert_eq!((response.status, response.error_code().as_str()), (405, "UNSUPPORTED"), "{line}");
        assert_eq!(response.all("Allow"), [methods], "{line}");
        assert_eq!(setup.status("", line), 401, "{line}");
    }
}

#[test]
fn anonymous_clients_learn_nothing_in_token_mode_and_everything_without_authentication() {
    for (mode, statuses) in [("token", [401, 401, 401, 401]), ("off", [200, 404, 405, 403])] {
        let registry = Registry::start();
        let settings =
            Settings::for_upstream(&registry.url()).set("auth.mode", &format!("{mode:?}")).tables(RULES);
        settings.write_users(&[
            ("alice", PASSWORD),
            ("carol", PASSWORD),
            ("robot", PASSWORD),
            ("root", PASSWORD),
        ]);
        let tidegate = Tidegate::start(settings);
        let lines =
            ["GET /v2/", "GET /v2/second", "POST /v2/team/app/tags/list", "GET /v2/team/app/tags/list"];
        for (line, status) in lines.into_iter().zip(statuses) {
            let response = Client::connect(&tidegate)
                .exchange(line, &["Content-Length: 0"][..usize::from(line.starts_with("POST"))]);
            assert_eq!(response.status, status, "{mode} {line}");
        }
    }
}
