//! Registries that have a token service of their own, a host of their own, or live below a path.

use rustix::process::Signal;

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::tidegate::{Settings, Tidegate};

const PATH: &str = "/artifactory/api/docker/local";
const NAME: &str = "inner.example:3000";

/// Answers as a registry with a token service does, and shows what it was asked for in `X-Asked`
/// and `X-Host`.
fn registry(below: &'static str) -> Fake {
    Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            let asked = head[0].split(' ').nth(1).unwrap().to_owned();
            let field = |name: &str| {
                let is = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}: "));
                head.iter().find(is).map(|line| line.split_once(": ").unwrap().1.to_owned())
            };
            let host = field("host").unwrap_or_default();
            let mut left = field("content-length").map_or(0, |length| length.parse().unwrap());
            while left > 0 {
                let Some(bytes) = conversation.read_some() else { return };
                left -= bytes.len();
            }
            let path = asked.strip_prefix(below).unwrap_or("elsewhere");
            let path = path.split('?').next().unwrap();
            let (status, more) = match (path, field("authorization").as_deref()) {
                ("/v2/token" | "/v2/auth" | "/service/token", _) => ("200 OK", String::new()),
                (_, Some("Bearer given")) if path.ends_with("/uploads/") => (
                    "202 Accepted",
                    format!("Location: http://{NAME}{below}/v2/a/blobs/uploads/u-1?_state=x\r\n"),
                ),
                (_, Some("Bearer given")) => (
                    "200 OK",
                    format!("Link: <http://{NAME}{below}/v2/a/tags/list?last=b>; rel=\"next\"\r\n"),
                ),
                _ => (
                    "401 Unauthorized",
                    format!(
                        "WWW-Authenticate: Bearer realm=\"http://{NAME}{below}/v2/token\",service=\"container_registry\",scope=\"*\"\r\n"
                    ),
                ),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nX-Asked: {asked}\r\nX-Host: {host}\r\n{more}Content-Length: 2\r\n\r\n{{}}"
            );
            conversation.write(answer.as_bytes());
        }
    })
}

fn settings(registry: &Fake, below: &str) -> Settings {
    Settings::for_upstream(&format!("{}{below}", registry.url()))
        .set("auth.mode", r#""off""#)
        .set("upstream.authorization", r#""pass""#)
        .set("upstream.host", &format!("{NAME:?}"))
}

#[test]
fn a_registry_with_its_own_token_service_is_logged_in_to() {
    for below in ["", PATH] {
        let registry = registry(below);
        let tidegate = Tidegate::start(settings(&registry, below));
        // The client's Host field is `localhost`.
        let here = "https://localhost";
        let mut client = Client::connect(&tidegate);
        let asks = client.exchange("GET /v2/", &[]);
        assert_eq!(asks.status, 401);
        assert_eq!(
            asks.all("WWW-Authenticate"),
            [format!("Bearer realm=\"{here}/v2/token\",service=\"container_registry\",scope=\"*\"")]
        );
        assert_eq!(asks.all("X-Host"), [NAME]);

        let token = client
            .exchange("GET /v2/token?service=container_registry&scope=*", &["Authorization: Basic YTpi"]);
        assert_eq!(token.status, 200);
        assert_eq!(token.all("X-Asked"), [format!("{below}/v2/token?service=container_registry&scope=*")]);
        client.send(http1::head("POST /v2/token", &["Content-Length: 9"]));
        client.send("grant=abc");
        assert_eq!(client.response(false).unwrap().status, 200);
        assert_eq!(client.exchange("PUT /v2/token", &["Content-Length: 0"]).status, 405);

        let token = "Authorization: Bearer given";
        let list = client.exchange("GET /v2/a/tags/list?n=1", &[token]);
        assert_eq!(list.all("Link"), [format!("<{here}/v2/a/tags/list?last=b>; rel=\"next\"")]);
        assert_eq!(list.all("X-Asked"), [format!("{below}/v2/a/tags/list?n=1")]);
        let upload = client.exchange("POST /v2/a/blobs/uploads/", &[token, "Content-Length: 0"]);
        assert_eq!(upload.all("Location"), [format!("{here}/v2/a/blobs/uploads/u-1?_state=x")]);
    }
}

/// A registry that writes whole URLs everywhere, with the name `named`, or else with the address
/// that it listens on.
fn registry_that_names_itself(named: Option<&'static str>) -> Fake {
    Fake::start(move |conversation| {
        let own = named.map_or_else(|| format!("http://{}", conversation.address()), str::to_owned) + PATH;
        while let Some(head) = conversation.read_head() {
            let asked = head[0].split(' ').nth(1).unwrap();
            let Some(path) = asked.strip_prefix(PATH).and_then(|path| path.split('?').next()) else { return };
            let is_authorized = head.iter().any(|line| line.starts_with("authorization: Bearer"));
            let (status, field) = if !is_authorized {
                let service = "service=\"registry\",scope=\"repository:a:pull\"";
                ("401 U", format!("WWW-Authenticate: Bearer realm=\"{own}/v2/token\",{service}"))
            } else if path.ends_with("/uploads/") {
                ("202 A", format!("Location: {own}{path}u-1?_state=x"))
            } else if path.contains("/blobs/") {
                ("307 T", format!("Location: {own}{path}?again"))
            } else {
                ("200 O", format!("Link: <{own}{path}?last=b&n=1>; rel=\"next\""))
            };
            conversation
                .write(format!("HTTP/1.1 {status}\r\n{field}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
        }
    })
}

#[test]
fn a_registry_below_a_path_that_writes_whole_urls_sends_clients_to_tidegate() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let lists =
        ["/v2/_catalog".to_owned(), "/v2/a/tags/list".to_owned(), format!("/v2/a/referrers/{digest}")];
    // With its own address, with the name that it is given, and with one that nobody knows.
    for (named, host) in
        [(None, ""), (Some("http://inner.example:3000"), NAME), (Some("https://unheard.example"), "")]
    {
        let registry = registry_that_names_itself(named);
        let settings = settings(&registry, PATH).set("upstream.host", &format!("{host:?}"));
        let tidegate = Tidegate::start(settings);
        let here = "https://localhost";
        let token = "Authorization: Bearer given";
        let mut client = Client::connect(&tidegate);
        for list in &lists {
            let answer = client.exchange(&format!("GET {list}?n=1"), &[token]);
            assert_eq!(answer.all("Link"), [format!("<{here}{list}?last=b&n=1>; rel=\"next\"")], "{named:?}");
        }
        let upload = client.exchange("POST /v2/a/blobs/uploads/", &[token, "Content-Length: 0"]);
        assert_eq!(upload.all("Location"), [format!("{here}/v2/a/blobs/uploads/u-1?_state=x")], "{named:?}");
        if named == Some("https://unheard.example") {
            // A redirect or a token service at an unknown name is that of another machine.
            continue;
        }
        let blob = format!("/v2/a/blobs/{digest}");
        let redirect = client.exchange(&format!("GET {blob}"), &[token]);
        assert_eq!(redirect.all("Location"), [format!("{here}{blob}?again")], "{named:?}");
        let asks = client.exchange("GET /v2/", &[]);
        assert_eq!(
            asks.all("WWW-Authenticate"),
            [format!("Bearer realm=\"{here}/v2/token\",service=\"registry\",scope=\"repository:a:pull\"")],
            "{named:?}"
        );
    }
}

#[test]
fn the_token_service_is_wherever_the_registry_says_and_stays_there_over_a_reload() {
    for below in ["", PATH] {
        let registry = Fake::start(move |conversation| {
            while let Some(head) = conversation.read_head() {
                let asked = head[0].split(' ').nth(1).unwrap();
                let fields = if asked.contains("/service/token") {
                    format!("200 OK\r\nX-Asked: {asked}")
                } else {
                    format!("401 U\r\nWWW-Authenticate: Bearer realm=\"http://{NAME}{below}/service/token\"")
                };
                conversation.write(format!("HTTP/1.1 {fields}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            }
        });
        let tidegate = Tidegate::start(settings(&registry, below));
        let mut client = Client::connect(&tidegate);
        assert_eq!(client.exchange("GET /service/token?a=b", &[]).status, 404);
        let asks = client.exchange("GET /v2/", &[]);
        assert_eq!(asks.all("WWW-Authenticate"), ["Bearer realm=\"https://localhost/service/token\""]);
        for reloads in [false, true] {
            if reloads {
                let start = tidegate.log.len();
                tidegate.signal(Signal::HUP);
                tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
            }
            let token = client.exchange("GET /service/token?a=b", &[]);
            assert_eq!(token.all("X-Asked"), [format!("{below}/service/token?a=b")]);
            for (path, status) in [("/service/tokens", 404), ("/service/token/", 404), ("/service", 404)] {
                assert_eq!(client.exchange(&format!("GET {path}"), &[]).status, status, "{path}");
            }
            assert_eq!(client.exchange("DELETE /service/token", &[]).status, 405);
        }
    }
}

#[test]
fn an_address_of_the_registry_in_any_field_is_put_right_and_its_other_ports_are_not_offered() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Docker-Upload-URL: HTTP://{NAME}{PATH}/v2/a/blobs/uploads/\r\n\
         X-Help: https://other.example/v2/\r\nAccess-Control-Allow-Origin: http://{NAME}\r\n\
         Alt-Svc: h3=\":443\"\r\nContent-Length: 0\r\n\r\n"
    );
    let registry = Fake::scripted(answer, false);
    let tidegate = Tidegate::start(settings(&registry, PATH));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[]);
    assert_eq!(response.all("X-Docker-Upload-URL"), ["https://localhost/v2/a/blobs/uploads/"]);
    assert_eq!(response.all("X-Help"), ["https://other.example/v2/"]);
    assert_eq!(response.all("Access-Control-Allow-Origin"), [format!("http://{NAME}")]);
    assert!(response.all("Alt-Svc").is_empty());
}

#[test]
fn the_token_service_of_the_registry_is_reached_only_where_clients_log_in_to_the_registry() {
    let registry = registry("");
    for (mode, authorization, status) in [("off", "user", 404), ("off", "none", 404), ("basic", "pass", 404)]
    {
        let settings = Settings::for_upstream(&registry.url())
            .set("auth.mode", &format!("{mode:?}"))
            .set("upstream.token_path", r#""/service/token""#)
            .set("upstream.authorization", &format!("{authorization:?}"));
        let tidegate = Tidegate::start(settings);
        let mut client = Client::connect(&tidegate);
        for path in ["/v2/token", "/v2/auth", "/service/token", "/v2/%74oken"] {
            let auth = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
            let response = client.exchange(&format!("GET {path}"), &[auth]);
            assert_eq!(response.status, status, "{mode} {authorization} {path}");
            assert!(response.all("X-Asked").is_empty());
        }
    }
    let tidegate = Tidegate::start(settings(&registry, "").set("upstream.token_path", r#""/service/token""#));
    let mut client = Client::connect(&tidegate);
    for (path, status) in
        [("/service/token", 200), ("/v2/auth", 200), ("/service/other", 404), ("/v2/token/", 404)]
    {
        assert_eq!(client.exchange(&format!("GET {path}"), &[]).status, status, "{path}");
    }
}
