//! Registries that continue an upload at a place of their own, as the distribution specification
//! allows. Clients reach it through a path that the rules understand, and nothing else.

use std::sync::{Arc, Mutex};

use crate::harness::basic;
use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const BLOB: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Where the upload begins, and where it continues after each request.
type Places = (&'static str, &'static str);

struct Registry {
    fake: Fake,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    fn start((first, next): Places) -> Registry {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let record = Arc::clone(&seen);
        let fake = Fake::start(move |conversation| {
            while let Some(line) = request(conversation) {
                let method = line.split(' ').next().unwrap().to_owned();
                record.lock().unwrap().push(line);
                let own = format!("http://{}", conversation.address());
                let (status, place) = match method.as_str() {
                    "POST" => ("202 Accepted", first.to_owned()),
                    "PATCH" => ("202 Accepted", next.to_owned()),
                    "PUT" => ("201 Created", format!("/v2/team/app/blobs/{BLOB}")),
                    _ => ("204 No Content", next.to_owned()),
                };
                let place = place.replace("OWN", &own);
                let length = if status.starts_with("204") { "" } else { "Content-Length: 0\r\n" };
                let answer = format!("HTTP/1.1 {status}\r\nLocation: {place}\r\n{length}\r\n");
                conversation.write(answer.as_bytes());
            }
        });
        Registry { fake, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Reads one request and returns its method and target.
fn request(conversation: &mut Conversation) -> Option<String> {
    let head = conversation.read_head()?;
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut left = length.unwrap_or(0);
    while left > 0 {
        left -= conversation.read_some()?.len();
    }
    Some(head[0].trim_end_matches(" HTTP/1.1").to_owned())
}

/// Sends a request for a `Location` as the client would, maybe with more in its query.
fn follow(tidegate: &Tidegate, method: &str, location: &str, more: &str, body: &str) -> Response {
    let host = tidegate.host();
    let path = location.strip_prefix(&format!("https://{host}")).expect("a URL of tidegate");
    assert!(path.starts_with("/v2/team/app/blobs/uploads/"), "{path}");
    let (host, length) = (format!("Host: {host}"), format!("Content-Length: {}", body.len()));
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("{method} {path}{more}"), &[&host, AUTH, &length]));
    client.send(body.as_bytes());
    client.response(false).unwrap()
}

fn begin(tidegate: &Tidegate) -> Response {
    begin_as(tidegate, &tidegate.host())
}

fn begin_as(tidegate: &Tidegate, host: &str) -> Response {
    let host = format!("Host: {host}");
    let fields = [&host, AUTH, "Content-Length: 0"];
    Client::connect(tidegate).exchange("POST /v2/team/app/blobs/uploads/", &fields)
}

fn location(response: &Response) -> String {
    response.all("Location")[0].to_owned()
}

#[test]
fn an_upload_continues_wherever_the_registry_says_with_every_method() {
    for (places, patched, put) in [
        (
            ("/v2/team/app/uploads/u-1", "/v2/team/app/uploads/u-1"),
            "/v2/team/app/uploads/u-1",
            "/v2/team/app/uploads/u-1?",
        ),
        (
            ("OWN/v2/team/app/uploads/u-1?state=a%2Fb", "OWN/v2/team/app/uploads/u-1?state=c"),
            "/v2/team/app/uploads/u-1?state=a%2Fb",
            "/v2/team/app/uploads/u-1?state=c&",
        ),
        (("/_uploads/u-1", "u-2"), "/_uploads/u-1", "/_uploads/u-2?"),
        (
            ("../uploads/./u-1", "?part=2"),
            "/v2/team/app/blobs/uploads/u-1",
            "/v2/team/app/blobs/uploads/u-1?part=2&",
        ),
        (("../../uploads/u-1", ""), "/v2/team/app/uploads/u-1", "/v2/team/app/uploads/u-1?"),
        (
            ("?id=u-1", "OWN/v2/team/app/blobs/uploads/?id=u-1#2"),
            "/v2/team/app/blobs/uploads/?id=u-1",
            "/v2/team/app/blobs/uploads/?id=u-1&",
        ),
        (
            ("/v2/team/app/blobs/uploads/u 1?s={\"a\":[1]}", "OWN/v2/team/app/blobs/uploads/u-1?s=a|b"),
            "/v2/team/app/blobs/uploads/u%201?s=%7B%22a%22:%5B1%5D%7D",
            "/v2/team/app/blobs/uploads/u-1?s=a%7Cb&",
        ),
        (
            ("/v2/team%2Fapp/blobs/uploads/u-1", "OWN/v2/team/app/blobs/x/../uploads/u-1"),
            "/v2/team%2Fapp/blobs/uploads/u-1",
            "/v2/team/app/blobs/uploads/u-1?",
        ),
    ] {
        let registry = Registry::start(places);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
        let begun = begin(&tidegate);
        assert_eq!(begun.status, 202, "{places:?}");
        let patch = follow(&tidegate, "PATCH", &location(&begun), "", "hello");
        assert_eq!(patch.status, 202, "{places:?}");
        let state = follow(&tidegate, "GET", &location(&patch), "", "");
        assert_eq!(state.status, 204, "{places:?}");
        let second = location(&state);
        let digest = format!("{}digest={BLOB}", if second.contains('?') { '&' } else { '?' });
        let done = follow(&tidegate, "PUT", &second, &digest, "world");
        assert_eq!(done.status, 201, "{places:?}");
        let blob = format!("https://{}/v2/team/app/blobs/{BLOB}", tidegate.host());
        assert_eq!(location(&done), blob, "{places:?}");
        assert_eq!(follow(&tidegate, "DELETE", &location(&patch), "", "").status, 204, "{places:?}");
        let seen = registry.seen();
        assert_eq!(seen[1], format!("PATCH {patched}"), "{places:?}");
        assert_eq!(seen[3], format!("PUT {put}digest={BLOB}"), "{places:?}");
        assert!(seen[4].starts_with("DELETE "), "{places:?}");
    }
}

#[test]
fn every_answer_that_says_where_an_upload_continues_carries_the_place() {
    for (method, status, carries) in [
        ("POST", "200 OK", true),
        ("PATCH", "200 OK", true),
        ("PATCH", "201 Created", true),
        ("PATCH", "204 No Content", true),
        ("PATCH", "307 Temporary Redirect", true),
        ("PATCH", "416 Range Not Satisfiable", true),
        ("GET", "200 OK", true),
        ("PUT", "202 Accepted", true),
        // Where the blob is, and not the upload.
        ("POST", "201 Created", false),
        ("PUT", "201 Created", false),
    ] {
        let registry = Fake::location_teller(status, "/v2/team/app/uploads/u-1");
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let id = if method == "POST" { "" } else { "u-0" };
        let fields: &[&str] = if method == "GET" { &[AUTH] } else { &[AUTH, "Content-Length: 0"] };
        let line = format!("{method} /v2/team/app/blobs/uploads/{id}");
        let place = location(&Client::connect(&tidegate).exchange(&line, fields));
        assert_eq!(place.contains("/blobs/uploads/tidegate."), carries, "{method} {status}: {place}");
    }
}

#[test]
fn an_upload_elsewhere_works_over_http2_and_survives_a_restart() {
    let registry = Registry::start(("/v2/team/app/uploads/u-1", "/v2/team/app/uploads/u-1"));
    let mut tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
    let host = tidegate.host();
    let request = http2::request("POST", &host, "/v2/team/app/blobs/uploads/", &[AUTH, "content-length: 0"]);
    let begun = Response::from(http2::Client::connect(&tidegate).exchange(request));
    tidegate.restart();
    assert_eq!(follow(&tidegate, "PATCH", &location(&begun), "", "hello").status, 202);
    assert_eq!(registry.seen().last().unwrap(), "PATCH /v2/team/app/uploads/u-1");
}

#[test]
fn a_place_cannot_be_made_up_nor_used_for_another_repository_nor_without_the_right() {
    let registry = Registry::start(("/v2/team/app/uploads/u-1", "/v2/team/app/uploads/u-1"));
    let rules = "[[access]]\nusers = [\"testuser\"]\nrepositories = [\"team/**\"]\nactions = [\"pull\", \"push\"]\n\
                 [[access]]\nusers = [\"reader\"]\nrepositories = [\"team/**\"]\nactions = [\"pull\"]\n";
    let settings = Settings::for_upstream(&registry.fake.url()).tables(rules);
    settings.write_users(&[("testuser", "testpass"), ("reader", "secret")]);
    let tidegate = Tidegate::start(settings);
    let whole = location(&begin(&tidegate));
    let id = whole.rsplit('/').next().unwrap();
    let reader = format!("Authorization: {}", basic("reader", "secret"));
    let mut other = id.to_owned();
    let last = other.pop().unwrap();
    other.push(if last == 'A' { 'Q' } else { 'A' });
    let forwarded = registry.seen().len();
    for (path, user, status) in [
        (format!("/v2/team/other/blobs/uploads/{id}"), AUTH, 404),
        (format!("/v2/team/app/blobs/uploads/{other}"), AUTH, 404),
        (format!("/v2/team/app/blobs/uploads/{}", &id[..id.len() - 8]), AUTH, 404),
        ("/v2/team/app/blobs/uploads/tidegate.AAAA".to_owned(), AUTH, 404),
        // The inner place itself, and what it looks like for others.
        ("/v2/team/app/uploads/u-1".to_owned(), AUTH, 404),
        (format!("/v2/secret/app/blobs/uploads/{id}"), AUTH, 403),
        (format!("/v2/team/app/blobs/uploads/{id}"), &reader, 403),
    ] {
        for method in ["PATCH", "PUT", "GET", "DELETE"] {
            let response = Client::connect(&tidegate).exchange(&format!("{method} {path}"), &[user]);
            assert_eq!(response.status, status, "{method} {path}: {}", response.text());
            if status == 404 && path.contains("tidegate.") {
                assert_eq!(response.error_code(), "BLOB_UPLOAD_UNKNOWN");
            }
        }
    }
    assert_eq!(registry.seen().len(), forwarded, "{:?}", registry.seen());
    // The query cannot change what the place is.
    let more = format!("?n=1&from=secret/app&mount={BLOB}&digest={BLOB}");
    assert_eq!(follow(&tidegate, "PUT", &whole, &more, "").status, 201);
    assert_eq!(registry.seen().last().unwrap(), &format!("PUT /v2/team/app/uploads/u-1?digest={BLOB}"));
}

#[test]
fn a_place_that_is_something_else_to_the_rules_is_not_carried() {
    for (place, expected) in [
        ("/v2/team/app/blobs/uploads/u-1?_state=x", "HOST/v2/team/app/blobs/uploads/u-1?_state=x"),
        ("/v2/team/app/manifests/latest", "HOST/v2/team/app/manifests/latest"),
        ("/v2/_catalog", "HOST/v2/_catalog"),
        ("/v2/other/app/uploads/u-1", "HOST/v2/other/app/uploads/u-1"),
        ("/v2/team/app/sub/uploads/u-1", "HOST/v2/team/app/sub/uploads/u-1"),
        ("/auth/token", "HOST/auth/token"),
        ("https://bucket.storage.example/up/1?sig=a", "https://bucket.storage.example/up/1?sig=a"),
        ("https://localhost.storage.example/up/1", "https://localhost.storage.example/up/1"),
        ("s3:u-1", "s3:u-1"),
    ] {
        let registry = Registry::start((place, place));
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
        let expected = expected.replace("HOST", &format!("https://{}", tidegate.host()));
        assert_eq!(location(&begin(&tidegate)), expected);
        if place.contains("localhost.") {
            assert_eq!(
                location(&begin_as(&tidegate, "localhost")),
                expected,
                "only the beginning is our name"
            );
        }
    }
}
