//! The names of a registry whose repositories lack the prefix of the clients' names.

use serde_json::Value;

use super::{AUTH, BLOB, Scripted, ask, ask_as, shows_no_inner_name, whole};
use crate::harness::fake::{self, Fake};
use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::image::{put_manifest, tiny_manifest};
use crate::harness::tidegate::{Settings, Tidegate};

const ELSEWHERE: &str = "https://storage.test/team/app/blob?signature=team/app";

fn route(url: &str, more: &str) -> String {
    format!("[[route]]\nrepositories = [\"hub/**\"]\nservers = [{url:?}]\nstrip = \"hub/\"\n{more}\n")
}

/// A tidegate with a default registry that nobody reaches, and one for `hub/`.
fn start(registry: &Scripted, more: &str) -> Tidegate {
    Tidegate::start(Settings::for_upstream(&fake::refusing()).tables(&route(&registry.fake.url(), more)))
}

/// A registry that names itself and its repositories wherever it can.
fn talkative() -> Scripted {
    Scripted::start(|method, target| {
        let json = || vec!["Content-Type: application/json; charset=utf-8".to_owned()];
        let error = |code: &str| {
            format!(
                r#"{{"errors":[{{"code":"{code}","message":"no such thing, name=team/app","detail":{{"name":"team/app"}}}}]}}"#
            )
        };
        match (method, target.split('?').next().unwrap()) {
            (_, "/v2/team/app/tags/list") => {
                let next = r#"Link: </v2/team/app/tags/list?last=v1&n=1>; rel="next", <OWN/v2/team/app/tags/list>; rel="first""#;
                let fields = [json(), vec![next.to_owned(), "Warning: 299 - \"team/app is old\"".to_owned()]];
                ("200 OK", fields.concat(), r#"{"name":"team/app","tags":["v1","team"]}"#.to_owned())
            }
            (_, "/v2/team/app/manifests/locked") => {
                let challenge = "WWW-Authenticate: Bearer realm=\"OWN/v2/token\",service=\"r\",scope=\"repository:team/app:pull \
                                 repository:team/base:pull\",error_description=\"team/app is locked\"";
                ("401 Unauthorized", [json(), vec![challenge.to_owned()]].concat(), error("UNAUTHORIZED"))
            }
            (_, "/v2/team/app/manifests/broken") => ("500 Internal Server Error", json(), error("UNKNOWN")),
            (_, "/v2/team/app/manifests/page") => {
                ("404 Not Found", vec!["Content-Type: text/plain".to_owned()], "404 page".to_owned())
            }
            ("POST", path) => ("202 Accepted", vec![format!("Location: {path}u-1?_state=x")], String::new()),
            ("PUT", path) => {
                let fields = vec![format!("Location: OWN{path}"), format!("Content-Location: {path}")];
                ("201 Created", fields, String::new())
            }
            (
                _,
                "/v2/team/app/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ) => ("307 Temporary Redirect", vec![format!("Location: {ELSEWHERE}")], String::new()),
            (_, path) if path.starts_with("/v2/team/app/blobs/") => {
                ("307 Temporary Redirect", vec![format!("Location: OWN{path}?again")], String::new())
            }
            _ => ("404 Not Found", json(), error("MANIFEST_UNKNOWN")),
        }
    })
}

#[test]
fn no_answer_shows_a_name_of_the_registry_and_the_registry_never_sees_an_outer_one() {
    let registry = talkative();
    let tidegate = start(&registry, "");
    let own = format!("https://{}", tidegate.host());

    let tags = ask(&tidegate, "GET /v2/hub/team/app/tags/list?n=1");
    assert_eq!(tags.text(), r#"{"name":"hub/team/app","tags":["v1","team"]}"#);
    let next = format!(
        "<{own}/v2/hub/team/app/tags/list?last=v1&n=1>; rel=\"next\", <{own}/v2/hub/team/app/tags/list>; rel=\"first\""
    );
    assert_eq!(tags.all("link"), [next]);
    assert_eq!(tags.all("warning"), ["299 - \"hub/team/app is old\""]);
    let head = ask(&tidegate, "HEAD /v2/hub/team/app/tags/list");
    assert_eq!((head.status, head.all("content-length")), (200, vec![]));

    let locked = ask(&tidegate, "GET /v2/hub/team/app/manifests/locked");
    assert_eq!(locked.status, 401);
    let challenge = format!(
        "Bearer realm=\"{own}/v2/token\",service=\"r\",scope=\"repository:hub/team/app:pull repository:hub/team/base:pull\",\
         error_description=\"hub/team/app is locked\""
    );
    assert_eq!(locked.all("www-authenticate"), [challenge]);

    for (line, status) in [
        ("GET /v2/hub/team/app/manifests/none", 404),
        ("GET /v2/hub/team/app/manifests/broken", 500),
        ("HEAD /v2/hub/team/app/manifests/none", 404),
    ] {
        let refused = ask(&tidegate, line);
        assert_eq!(refused.status, status, "{line}");
        if !line.starts_with("HEAD") {
            let body: Value = serde_json::from_str(&refused.text()).unwrap();
            assert_eq!(body["errors"][0]["detail"]["name"], "hub/team/app");
            assert_eq!(body["errors"][0]["message"], "no such thing, name=hub/team/app");
        }
        shows_no_inner_name(&refused);
    }
    assert_eq!(ask(&tidegate, "GET /v2/hub/team/app/manifests/page").text(), "404 page");

    let (manifest, _) = tiny_manifest(b"{}", "one");
    let put = put_manifest(&mut Client::connect(&tidegate), AUTH, "hub/team/app", "v1", &manifest);
    let place = format!("{}/v2/hub/team/app/manifests/v1", own.replace(&tidegate.host(), "localhost"));
    assert_eq!(put.status, 201);
    assert_eq!(put.all("location"), [&*place]);
    assert_eq!(put.all("content-location"), [place]);

    let redirect = ask(&tidegate, &format!("GET /v2/hub/team/app/blobs/{BLOB}"));
    assert_eq!(redirect.all("location"), [ELSEWHERE]);
    let other = BLOB.replace('a', "b").replace("shb", "sha");
    let redirect = ask(&tidegate, &format!("GET /v2/hub/team/app/blobs/{other}"));
    assert_eq!(redirect.all("location"), [format!("{own}/v2/hub/team/app/blobs/{other}?again")]);
    for response in [&tags, &head, &locked, &put, &redirect] {
        shows_no_inner_name(response);
    }

    let heads = registry.heads.lock().unwrap().concat().join("\n");
    assert!(!heads.contains("hub"), "{heads}");
    // Rules and logs see the outer name.
    tidegate.access.wait_for("the outer name", |line| line.contains(r#""repository":"hub/team/app""#));
}

#[test]
fn an_odd_error_is_passed_on_or_replaced_but_never_shows_a_name() {
    let long = "x".repeat(100 << 10);
    let registry = Scripted::start(move |_, target| {
        let json = vec!["Content-Type: application/json".to_owned()];
        match target {
            "/v2/team/app/manifests/long" => ("404 Not Found", json, format!("{{\"x\":\"{long}\"}}")),
            "/v2/team/app/manifests/torn" => ("404 Not Found", json, "{\"errors\":[".to_owned()),
            "/v2/team/app/tags/list" => ("200 OK", json, "<html>".to_owned()),
            _ => ("200 OK", json, r#"{"name":"team/app"}"#.to_owned()),
        }
    });
    let tidegate = start(&registry, "");
    let long = ask(&tidegate, "GET /v2/hub/team/app/manifests/long");
    assert_eq!((long.status, long.body.len()), (404, (100 << 10) + 8));
    assert_eq!(ask(&tidegate, "GET /v2/hub/team/app/manifests/torn").text(), "{\"errors\":[");
    assert_eq!(ask(&tidegate, "GET /v2/hub/team/app/tags/list").status, 502);
    // What is not a list or an error streams as it is: it has a digest.
    assert_eq!(ask(&tidegate, "GET /v2/hub/team/app/manifests/v1").text(), r#"{"name":"team/app"}"#);
}

#[test]
fn a_name_that_does_not_lead_to_a_repository_of_the_route_goes_to_upstream() {
    let usual = Scripted::start(|_, _| ("200 OK", Vec::new(), "usual".to_owned()));
    let mirror = Scripted::start(|_, _| ("200 OK", Vec::new(), "mirror".to_owned()));
    let settings = Settings::for_upstream(&usual.fake.url()).tables(&route(&mirror.fake.url(), ""));
    let tidegate = Tidegate::start(settings);
    for (repository, expected) in
        [("hub/app", "mirror"), ("hub", "usual"), ("hubs/app", "usual"), ("a/hub/b", "usual")]
    {
        let answer = ask(&tidegate, &format!("GET /v2/{repository}/manifests/v1"));
        assert_eq!(answer.text(), expected, "{repository}");
    }
    assert_eq!(ask(&tidegate, "GET /v2/").text(), "usual");
    assert_eq!(mirror.asked(), ["GET /v2/app/manifests/v1"]);
}

#[test]
fn a_redirect_does_not_repeat_the_name_in_its_body() {
    let registry = Scripted::start(|_, target| {
        let page = format!("<a href=\"{target}?again\">Temporary Redirect</a>.\n");
        let fields = [format!("Location: OWN{target}?again"), "Content-Type: text/html".to_owned()];
        ("307 Temporary Redirect", fields.to_vec(), page)
    });
    let tidegate = start(&registry, "");
    for method in ["GET", "HEAD"] {
        let redirect = ask(&tidegate, &format!("{method} /v2/hub/team/app/manifests/v1"));
        assert_eq!((redirect.status, redirect.all("content-length")), (307, vec!["0"]), "{method}");
        let place = format!("https://{}/v2/hub/team/app/manifests/v1?again", tidegate.host());
        assert_eq!(redirect.all("location"), [place]);
        shows_no_inner_name(&redirect);
    }
}

#[test]
fn a_warning_in_any_language_shows_no_name_of_the_registry() {
    let warning = "Warning: 299 - \"team/app ist überholt\"";
    let registry = Scripted::start(move |_, _| ("200 OK", vec![warning.to_owned()], String::new()));
    let tidegate = start(&registry, "");
    shows_no_inner_name(&ask(&tidegate, "GET /v2/hub/team/app/manifests/v1"));
}

#[test]
fn referrers_come_from_the_registry_of_the_route() {
    let index = r#"{"schemaVersion":2,"manifests":[{"annotations":{"from":"team/app"}}]}"#;
    let registry = Scripted::start(move |_, target| {
        let next = format!("Link: <{}?n=1&last=b>; rel=\"next\"", target.split('?').next().unwrap());
        let kind = "Content-Type: application/vnd.oci.image.index.v1+json".to_owned();
        ("200 OK", vec![next, kind, "OCI-Filters-Applied: artifactType".to_owned()], index.to_owned())
    });
    let tidegate = start(&registry, "");
    let referrers = ask(&tidegate, &format!("GET /v2/hub/team/app/referrers/{BLOB}?artifactType=a%2Fb"));
    // An index is a manifest: it passes byte by byte.
    assert_eq!(referrers.text(), index);
    assert_eq!(referrers.all("oci-filters-applied"), ["artifactType"]);
    let next = format!("https://{}/v2/hub/team/app/referrers/{BLOB}?n=1&last=b", tidegate.host());
    assert_eq!(referrers.all("link"), [format!("<{next}>; rel=\"next\"")]);
    let head = ask(&tidegate, &format!("HEAD /v2/hub/team/app/referrers/{BLOB}"));
    assert_eq!(head.all("content-length"), [index.len().to_string()]);
    assert_eq!(registry.asked()[0], format!("GET /v2/team/app/referrers/{BLOB}?artifactType=a%2Fb"));
}

/// Follows the `Location` of an upload.
fn follow(tidegate: &Tidegate, method: &str, location: &str, more: &str) -> Response {
    let origin = format!("https://{}", tidegate.host());
    let path = location.strip_prefix(&origin).unwrap_or_else(|| panic!("{location} is not at {origin}"));
    assert!(path.starts_with("/v2/hub/team/app/blobs/uploads/"), "{path}");
    let host = format!("Host: {}", tidegate.host());
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("{method} {path}{more}"), &[&host, AUTH, "Content-Length: 5"]));
    client.send(b"hello");
    client.response(false).unwrap()
}

#[test]
fn an_upload_continues_wherever_the_registry_says() {
    for (place, patched) in [
        ("/v2/team/app/blobs/uploads/u-1?_state=x", "/v2/team/app/blobs/uploads/u-1?_state=x"),
        ("OWN/v2/team/app/blobs/uploads/u-1", "/v2/team/app/blobs/uploads/u-1"),
        ("https://inside.test/x/v2/team/app/blobs/uploads/u-1", "/v2/team/app/blobs/uploads/u-1"),
        ("u-1", "/v2/team/app/blobs/uploads/u-1"),
        ("../../../app/blobs/uploads/u-1", "/v2/team/app/blobs/uploads/u-1"),
        ("/v2/team/app/uploads/u-1", "/v2/team/app/uploads/u-1"),
        ("/_uploads/team/app/u-1?a=b", "/_uploads/team/app/u-1?a=b"),
        ("/v2/team%2Fapp/blobs/uploads/u-1", "/v2/team%2Fapp/blobs/uploads/u-1"),
        ("/v2/team/app/blobs/uploads/u-1?name=team/app", "/v2/team/app/blobs/uploads/u-1?name=team/app"),
        ("?id=team%2Fapp", "/v2/team/app/blobs/uploads/?id=team%2Fapp"),
    ] {
        let registry = Scripted::start(move |method, _| match method {
            "POST" => ("202 Accepted", vec![format!("Location: {place}")], String::new()),
            "PATCH" => (
                "202 Accepted",
                vec!["Location: OWN/v2/team/app/blobs/uploads/u-2".to_owned()],
                String::new(),
            ),
            _ => ("201 Created", vec![format!("Location: /v2/team/app/blobs/{BLOB}")], String::new()),
        });
        let tidegate = start(&registry, "");
        let begun = ask(&tidegate, "POST /v2/hub/team/app/blobs/uploads/");
        assert_eq!(begun.status, 202, "{place}");
        let location = begun.all("location")[0];
        shows_no_inner_name(&begun);
        let patch = follow(&tidegate, "PATCH", location, "");
        assert_eq!(patch.status, 202, "{place}: {}", patch.text());
        let next = patch.all("location")[0].to_owned();
        let done = follow(&tidegate, "PUT", &next, &format!("?digest={BLOB}"));
        assert_eq!(
            done.all("location"),
            [format!("https://{}/v2/hub/team/app/blobs/{BLOB}", tidegate.host())]
        );
        let put = format!("PUT /v2/team/app/blobs/uploads/u-2?digest={BLOB}");
        assert_eq!(registry.asked()[1..], [format!("PATCH {patched}"), put], "{place}");
    }
}

#[test]
fn the_place_of_an_upload_is_of_no_use_at_another_registry() {
    let registry = |name: &'static str| {
        Scripted::start(move |method, _| match method {
            "POST" => ("202 Accepted", vec![format!("Location: /_uploads/{name}")], String::new()),
            _ => ("202 Accepted", Vec::new(), String::new()),
        })
    };
    let (usual, other) = (registry("usual"), registry("other"));
    let tables = format!("[[route]]\nhosts = [\"other.test\"]\nservers = [{:?}]\n", other.fake.url());
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&tables));
    let place = |host: &str| {
        let begun = ask_as(&tidegate, host, AUTH, "POST /v2/a/blobs/uploads/");
        begun.all("location")[0].split_once(host).unwrap().1.to_owned()
    };
    let hosts = [tidegate.host(), "other.test".to_owned()];
    let [at_usual, at_other] = hosts.each_ref().map(|host| place(host));
    for (path, accepted) in [(at_usual, [202, 404]), (at_other, [404, 202])] {
        let patch = |host: &String| ask_as(&tidegate, host, AUTH, &format!("PATCH {path}")).status;
        assert_eq!(hosts.each_ref().map(patch), accepted, "{path}");
    }
    assert_eq!(usual.asked()[1..], ["PATCH /_uploads/usual"]);
    assert_eq!(other.asked()[1..], ["PATCH /_uploads/other"]);
}

#[test]
fn a_mount_within_a_route_names_the_source_as_the_registry_does() {
    let registry = talkative();
    let usual = Scripted::start(|_, _| ("202 Accepted", vec!["Location: u-1".to_owned()], String::new()));
    let settings = Settings::for_upstream(&usual.fake.url()).tables(&route(&registry.fake.url(), ""));
    let tidegate = Tidegate::start(settings);
    let mount = |repository: &str, from: &str| {
        let line = format!("POST /v2/{repository}/blobs/uploads/?mount={BLOB}&from={from}&x=1");
        assert_eq!(ask(&tidegate, &line).status, 202, "{line}");
    };
    mount("hub/team/app", "hub%2Fteam%2Fbase");
    mount("hub/team/app", "team/base");
    mount("team/app", "hub/team/base");
    mount("team/app", "team/base");
    let begin = "POST /v2/team/app/blobs/uploads/";
    assert_eq!(
        registry.asked(),
        [format!("{begin}?mount={BLOB}&from=team/base&x=1"), format!("{begin}?x=1")]
    );
    assert_eq!(usual.asked(), [format!("{begin}?x=1"), format!("{begin}?mount={BLOB}&from=team/base&x=1")]);
    tidegate
        .access
        .wait_for("why", |line| line.contains("the mount was left out, the client uploads instead"));
}

#[test]
fn immutable_tags_are_asked_for_at_the_registry_of_the_route() {
    let registry = Scripted::start(|method, _| match method {
        "HEAD" => ("200 OK", vec![format!("Docker-Content-Digest: {BLOB}")], String::new()),
        _ => ("201 Created", Vec::new(), String::new()),
    });
    let settings = Settings::for_upstream(&fake::refusing())
        .set("policy.immutable_tags", r#"["hub/**:v*"]"#)
        .tables(&route(&registry.fake.url(), ""));
    let tidegate = Tidegate::start(settings);
    let (manifest, _) = tiny_manifest(b"{}", "one");
    let refused = put_manifest(&mut Client::connect(&tidegate), AUTH, "hub/team/app", "v1", &manifest);
    assert_eq!(refused.status, 409, "{}", whole(&refused));
    assert!(refused.text().contains("tag v1 of hub/team/app exists"), "{}", refused.text());
    assert_eq!(registry.asked(), ["HEAD /v2/team/app/manifests/v1"]);
}

#[test]
fn each_registry_gets_its_own_login() {
    let usual = Scripted::start(|_, _| ("200 OK", Vec::new(), String::new()));
    let mirror = Scripted::start(|_, _| ("200 OK", Vec::new(), String::new()));
    let settings = Settings::for_upstream(&usual.fake.url()).tables(&route(
        &mirror.fake.url(),
        "authorization = \"basic\"\nuser = \"door\"\npassword_file = \"password\"",
    ));
    let file = settings.path().join("password");
    std::fs::write(&file, "secret\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let tidegate = Tidegate::start(settings);
    ask(&tidegate, "GET /v2/hub/team/app/manifests/v1");
    ask(&tidegate, "GET /v2/team/app/manifests/v1");
    assert_eq!(mirror.last_field("authorization"), Some(crate::harness::basic("door", "secret")));
    assert_eq!(usual.last_field("authorization"), Some(crate::harness::basic("testuser", "")));
}

#[test]
fn the_token_service_of_a_registry_is_asked_for_its_own_names() {
    let service = |name: &'static str| {
        Scripted::start(move |_, target| match target.split('?').next().unwrap() {
            "/v2/token" => ("200 OK", Vec::new(), format!("{{\"token\":\"{name}\"}}")),
            _ => {
                let challenge = "WWW-Authenticate: Bearer realm=\"OWN/v2/token\",service=\"r\",scope=\"repository:team/app:pull\"";
                ("401 Unauthorized", vec![challenge.to_owned()], String::new())
            }
        })
    };
    let (usual, mirror) = (service("usual"), service("mirror"));
    let settings = Settings::for_upstream(&usual.fake.url())
        .set("auth.mode", r#""off""#)
        .set("upstream.authorization", r#""pass""#)
        .tables(&route(&mirror.fake.url(), ""));
    let tidegate = Tidegate::start(settings);
    let asked = ask(&tidegate, "GET /v2/hub/team/app/manifests/v1");
    assert!(asked.all("www-authenticate")[0].contains("scope=\"repository:hub/team/app:pull\""));
    for (scopes, expected) in [
        ("scope=repository%3Ahub%2Fteam%2Fapp%3Apull&scope=repository:team/app:pull", "mirror"),
        ("scope=repository:team/app:pull&scope=repository:hub/team/app:pull", "usual"),
        ("account=a", "usual"),
    ] {
        let token = ask(&tidegate, &format!("GET /v2/token?service=r&{scopes}"));
        assert_eq!(token.text(), format!("{{\"token\":\"{expected}\"}}"), "{scopes}");
    }
    assert_eq!(mirror.asked()[1..], ["GET /v2/token?service=r&scope=repository%3Ateam%2Fapp%3Apull"]);
    let usual = usual.asked();
    assert_eq!(usual[0], "GET /v2/token?service=r&scope=repository%3Ateam%2Fapp%3Apull");
    assert_eq!(usual[1], "GET /v2/token?service=r&account=a");
}

#[test]
fn each_host_name_has_its_registry() {
    let [usual, other, part] = ["usual", "other", "part"].map(|name| {
        Fake::scripted(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()), false)
    });
    let tables = format!(
        "[[route]]\nhosts = [\"other.test\"]\nrepositories = [\"part/**\"]\nservers = [{:?}]\n[[route]]\nhosts = \
         [\"other.test\"]\nservers = [{:?}]\n",
        part.url(),
        other.url()
    );
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.url()).tables(&tables));
    for (host, path, expected) in [
        ("localhost", "/v2/", "usual"),
        ("localhost", "/v2/part/app/manifests/v1", "usual"),
        ("other.test", "/v2/", "other"),
        ("OTHER.test:5043", "/v2/app/manifests/v1", "other"),
        ("other.test", "/v2/part/app/manifests/v1", "part"),
    ] {
        assert_eq!(ask_as(&tidegate, host, AUTH, &format!("GET {path}")).text(), expected, "{host} {path}");
        let over_http2 = http2::request("GET", host, path, &[AUTH]);
        let answer = Response::from(http2::Client::connect(&tidegate).exchange(over_http2));
        assert_eq!(answer.text(), expected, "{host} {path}");
    }
}

#[test]
fn a_check_asks_every_registry() {
    let registry = Scripted::start(|_, _| ("200 OK", Vec::new(), "{}".to_owned()));
    let gone = fake::refusing();
    let tables = route(&registry.fake.url(), "") + &route(&gone, "").replace("hub", "old");
    let settings = Settings::for_upstream(&registry.fake.url()).tables(&tables);
    std::fs::write(settings.file(), settings.toml()).unwrap();
    let file = settings.file().display().to_string();
    let checked = crate::harness::tools::run(
        env!("CARGO_BIN_EXE_tidegate"),
        &["check", "--upstream", "--config", &file],
    );
    assert!(!checked.success && checked.stderr.contains(&gone), "{} {}", checked.stdout, checked.stderr);
    // It names the section in which the registry is.
    assert!(checked.stderr.contains("correct route.servers"), "{}", checked.stderr);
    assert!(checked.stdout.contains(&registry.fake.url()), "{}", checked.stdout);
}
