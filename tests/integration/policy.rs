//! Rules that apply to every user: a read-only registry, and immutable tags.

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{self, Client, Response};
use crate::harness::image::{push_tiny, put_manifest, sha256, tiny_manifest, upload, write_image};
use crate::harness::recorder::Recorder;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{DEADLINE, PASSWORD, USER, basic, tools};

pub const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const RULES: &str = r#"
[[access]]
users = ["testuser"]
repositories = ["**"]
actions = ["*"]

[[access]]
users = ["reader"]
repositories = ["**"]
actions = ["pull"]
"#;

pub fn settings(upstream: &str) -> Settings {
    let settings = Settings::for_upstream(upstream).tables(RULES);
    settings.write_users(&[(USER, PASSWORD), ("reader", PASSWORD)]);
    settings
}

pub fn immutable(upstream: &str) -> Tidegate {
    Tidegate::start(settings(upstream).set("policy.immutable_tags", r#"["team/**:v*", "other:*"]"#))
}

/// Reloads tidegate after replacing `that` by `this` in proxy.toml.
fn reload(tidegate: &Tidegate, that: &str, this: &str) {
    let text = fs::read_to_string(tidegate.settings.file()).unwrap();
    assert!(text.contains(that), "{text}");
    fs::write(tidegate.settings.file(), text.replace(that, this)).unwrap();
    let start = tidegate.log.len();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
}

pub fn delete(client: &mut Client, repository: &str, reference: &str) -> Response {
    client.exchange(&format!("DELETE /v2/{repository}/manifests/{reference}"), &[AUTH])
}

pub fn pushed(client: &mut Client, repository: &str, reference: &str, note: &str) -> Response {
    put_manifest(client, AUTH, repository, reference, &tiny_manifest(b"{}", note).0)
}

/// The digest that a tag refers to.
fn digest(client: &mut Client, repository: &str, tag: &str) -> String {
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let found = client.exchange(&format!("HEAD /v2/{repository}/manifests/{tag}"), &[AUTH, accept]);
    assert_eq!(found.status, 200, "{tag}");
    found.all("docker-content-digest")[0].to_owned()
}

#[track_caller]
pub fn assert_kept(response: &Response, sentence: &str) {
    assert_eq!((response.status, response.error_code().as_str()), (409, "DENIED"), "{}", response.text());
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body["errors"][0]["message"], sentence);
}

#[test]
fn an_upload_completes_although_the_registry_becomes_read_only_meanwhile() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(settings(&registry.url()).set("policy.read_only", "false"));
    let mut client = Client::connect(&tidegate);
    let there = push_tiny(&mut client, AUTH, "team/app", "v1");
    let (manifest, digest) = tiny_manifest(b"second", "v2");
    let begin = |client: &mut Client| {
        let begun = client.exchange("POST /v2/team/app/blobs/uploads/", &[AUTH, "Content-Length: 0"]);
        assert_eq!(begun.status, 202, "{}", begun.text());
        let location = begun.all("location")[0].to_owned();
        location[location.find("/v2/").unwrap()..].to_owned()
    };
    let (goes_on, cancelled) = (begin(&mut client), begin(&mut client));

    // Half of a chunk is sent before the reload, the rest after it.
    let mut uploading = Client::connect(&tidegate);
    uploading.send(http1::head(&format!("PATCH {goes_on}"), &[AUTH, "Content-Length: 6"]));
    uploading.send(b"sec");
    reload(&tidegate, "read_only = false", "read_only = true");
    uploading.send(b"ond");
    let chunk = uploading.response(false).unwrap();
    assert_eq!(chunk.status, 202, "{}", chunk.text());
    let location = chunk.all("location")[0].to_owned();
    let state = client.exchange(&format!("GET {}", &location[location.find("/v2/").unwrap()..]), &[AUTH]);
    assert_eq!((state.status, state.all("range")), (204, vec!["0-5"]));
    let target =
        format!("{}&digest=sha256:{}", &location[location.find("/v2/").unwrap()..], sha256(b"second"));
    assert_eq!(client.exchange(&format!("PUT {target}"), &[AUTH, "Content-Length: 0"]).status, 201);
    assert_eq!(client.exchange(&format!("DELETE {cancelled}"), &[AUTH]).status, 204);

    let blob = sha256(b"second");
    for (line, allow) in [
        ("POST /v2/team/app/blobs/uploads/".to_owned(), ""),
        (format!("POST /v2/team/new/blobs/uploads/?mount=sha256:{blob}&from=team/app"), ""),
        (format!("DELETE /v2/team/app/blobs/sha256:{blob}"), "GET, HEAD"),
        (format!("DELETE /v2/team/app/manifests/{there}"), "GET, HEAD"),
        ("PUT /v2/team/app/manifests/v2".to_owned(), "GET, HEAD"),
    ] {
        let refused = client.exchange(&line, &[AUTH, "Content-Length: 0"]);
        assert_eq!((refused.status, refused.error_code().as_str()), (405, "UNSUPPORTED"), "{line}");
        assert_eq!(refused.all("allow"), [allow], "{line}");
        assert!(refused.text().contains("this registry is read-only at the moment"), "{}", refused.text());
        // Users without the right to push do not learn that the registry is read-only.
        let reader = format!("Authorization: {}", basic("reader", PASSWORD));
        assert_eq!(client.exchange(&line, &[&reader, "Content-Length: 0"]).status, 403, "{line}");
        assert_eq!(client.exchange(&line, &["Content-Length: 0"]).status, 401, "{line}");
    }
    for line in
        ["GET /v2/", "GET /v2/_catalog", "GET /v2/team/app/tags/list", "GET /v2/team/app/manifests/v1"]
    {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        assert_eq!(client.exchange(line, &[AUTH, accept]).status, 200, "{line}");
    }

    reload(&tidegate, "read_only = true", "read_only = false");
    assert_eq!(put_manifest(&mut client, AUTH, "team/app", "v2", &manifest).status, 201);
    assert_eq!(delete(&mut client, "team/app", &digest).status, 202);
}

#[test]
fn an_immutable_tag_is_pushed_once() {
    let registry = Registry::start();
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    let exists = |tag: &str| {
        format!("tag {tag} of team/app exists with other content and is immutable; push another tag")
    };
    let first = push_tiny(&mut client, AUTH, "team/app", "v1");
    assert_kept(&pushed(&mut client, "team/app", "v1", "other"), &exists("v1"));
    let mut client = Client::connect(&tidegate);
    let again = pushed(&mut client, "team/app", "v1", "v1");
    assert_eq!((again.status, again.all("docker-content-digest")), (201, vec![&*first]));
    assert_eq!(digest(&mut client, "team/app", "v1"), first);

    let (manifest, by_digest) = tiny_manifest(b"{}", "other");
    assert_eq!(put_manifest(&mut client, AUTH, "team/app", &by_digest, &manifest).status, 201);
    assert_eq!(pushed(&mut client, "team/app", "v2", "other").status, 201);
    for note in ["one", "two"] {
        assert_eq!(pushed(&mut client, "team/app", "latest", note).status, 201, "latest matches no pattern");
    }
    upload(&mut client, AUTH, "elsewhere", b"{}");
    for note in ["one", "two"] {
        assert_eq!(
            pushed(&mut client, "elsewhere", "v1", note).status,
            201,
            "this repository matches no pattern"
        );
    }
    // Newer registries accept tags in the query.
    assert_kept(
        &pushed(&mut client, "team/app", &format!("{by_digest}?tag=v3&tag=v1"), "other"),
        &exists("v1"),
    );
    let mut client = Client::connect(&tidegate);
    assert_eq!(pushed(&mut client, "team/app", &format!("{by_digest}?tag=v3&tag=v4"), "other").status, 201);

    reload(&tidegate, "team/**:v*", "team/**:l*");
    assert_eq!(pushed(&mut client, "team/app", "v1", "other").status, 201);
    assert_kept(&pushed(&mut client, "team/app", "latest", "one"), &exists("latest"));
}

#[test]
fn clients_show_why_an_immutable_tag_is_not_pushed() {
    let registry = Registry::start();
    let tidegate = immutable(&registry.url());
    let folder = tidegate.settings.path().display().to_string();
    let digest = write_image(&tidegate.settings.path().join("image"), "one");
    fs::create_dir(tidegate.settings.path().join("trust")).unwrap();
    fs::copy(tidegate.settings.path().join("ca.crt"), tidegate.settings.path().join("trust/ca.crt")).unwrap();
    write_image(&tidegate.settings.path().join("other"), "one");
    let copy = |image: &str, tag: &str| {
        let (from, to) =
            (format!("oci:{folder}/{image}:one"), format!("docker://{}/team/app:{tag}", tidegate.host()));
        let (trust, credentials) = (format!("{folder}/trust"), format!("{USER}:{PASSWORD}"));
        let arguments = [
            "--insecure-policy",
            "copy",
            "--dest-creds",
            &credentials,
            "--dest-cert-dir",
            &trust,
            &from,
            &to,
        ];
        tools::run("skopeo", &arguments)
    };
    for tag in ["v1", "latest", "latest", "v2"] {
        let run = copy("image", tag);
        assert!(run.success, "{tag}: {}", run.stderr);
    }
    let run = copy("image", "v1");
    assert!(run.success, "the same manifest: {}", run.stderr);
    let run = copy("other", "v1");
    assert!(
        !run.success
            && run
                .stderr
                .contains("tag v1 of team/app exists with other content and is immutable; push another tag"),
        "{}",
        run.stderr
    );

    let ca = tidegate.settings.path().join("ca.crt");
    let manifest = format!("@{folder}/image/blobs/{}", digest.replace(':', "/"));
    let put_this = |manifest: &str, reference: &str| {
        let url = format!("https://{}/v2/team/app/manifests/{reference}", tidegate.host());
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
        tools::curl(
            &ca,
            &[
                "--request",
                "PUT",
                "--header",
                kind,
                "--data-binary",
                manifest,
                "--write-out",
                "%{http_code}",
                &url,
            ],
            None,
        )
    };
    let put = |reference: &str| put_this(&manifest, reference);
    assert_eq!([put("v1"), put(&digest), put("v3")], ["201", "201", "201"]);
    let refused = put_this(&format!("@{folder}/other/index.json"), "v1");
    assert!(refused.contains("exists with other content") && refused.ends_with("409"), "{refused}");
}

#[test]
fn of_two_simultaneous_pushes_of_a_new_immutable_tag_one_succeeds() {
    let registry = Registry::start();
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    upload(&mut client, AUTH, "team/app", b"{}");
    for round in 0..20 {
        let (tag, start) = (format!("v{round}"), Barrier::new(2));
        let statuses = std::thread::scope(|scope| {
            let push = |note: String| {
                let (tidegate, tag, start) = (&tidegate, &tag, &start);
                scope.spawn(move || {
                    let mut client = Client::connect(tidegate);
                    start.wait();
                    (pushed(&mut client, "team/app", tag, &note).status, tiny_manifest(b"{}", &note).1)
                })
            };
            [push(format!("{round} a")), push(format!("{round} b"))].map(|push| push.join().unwrap())
        });
        let won: Vec<_> = statuses.iter().filter(|(status, _)| *status == 201).collect();
        let lost = statuses.iter().filter(|(status, _)| *status == 409).count();
        assert_eq!((won.len(), lost), (1, 1), "{statuses:?}");
        assert_eq!(digest(&mut client, "team/app", &tag), won[0].1);
    }
}

/// A registry without manifests that delays the answer to a PUT until the test continues.
pub fn slow() -> (Fake, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let ((begin, begun), (go, gone)) = (channel(), channel::<()>());
    let (begin, gone) = (Mutex::new(begin), Mutex::new(gone));
    let fake = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("PUT") {
                conversation.read_some();
                let _ = begin.lock().unwrap().send(());
                let _ = gone.lock().unwrap().recv();
                conversation.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
            } else {
                conversation.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (fake, begun, go)
}

#[test]
fn a_tag_that_is_being_pushed_is_locked_until_the_registry_has_answered() {
    let (registry, begun, go) = slow();
    let tidegate = immutable(&registry.url());
    let (mut first, mut second) = (Client::connect(&tidegate), Client::connect(&tidegate));
    let head = http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Content-Length: 2"]);
    first.send(format!("{head}{{}}"));
    begun.recv_timeout(DEADLINE).expect("the push reaches the registry");
    let busy = "tag v1 of team/app is being pushed at this moment and is immutable";
    assert_kept(&pushed(&mut second, "team/app", "v1", "second"), busy);
    let mut second = Client::connect(&tidegate);
    assert_kept(&delete(&mut second, "team/app", "v1"), busy);
    go.send(()).unwrap();
    assert_eq!(first.response(false).unwrap().status, 201);
}

#[test]
fn a_push_whose_client_leaves_holds_its_tag_until_the_registry_has_answered() {
    let (registry, begun, go) = slow();
    let tidegate = immutable(&registry.url());
    let (mut first, mut second) = (Client::connect(&tidegate), Client::connect(&tidegate));
    let head = http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Content-Length: 2"]);
    first.send(format!("{head}{{}}"));
    begun.recv_timeout(DEADLINE).expect("the push reaches the registry");
    drop(first);
    tidegate.access.wait_for("the end of the push", |line| line.contains(r#""status":499"#));
    assert_kept(
        &pushed(&mut second, "team/app", "v1", "second"),
        "tag v1 of team/app is being pushed at this moment and is immutable",
    );
    go.send(()).unwrap();
    go.send(()).unwrap();
    // The answer releases it.
    let end = Instant::now() + DEADLINE;
    let mut statuses =
        std::iter::repeat_with(|| pushed(&mut Client::connect(&tidegate), "team/app", "v1", "second").status);
    assert!(statuses.find(|status| *status != 409 || Instant::now() > end) == Some(201));
}

#[test]
fn a_push_whose_client_leaves_before_its_end_never_reaches_the_registry() {
    let registry = Recorder::start();
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Content-Length: 9"]));
    client.send(b"{");
    drop(client);
    tidegate.access.wait_for("the end of the push", |line| line.contains(r#""cut":"client""#));
    let seen = registry.settle().unwrap().requests;
    assert!(seen.iter().all(|seen| seen.head.method != "PUT"), "{seen:?}");
}

#[test]
fn a_stop_waits_for_a_push_whose_client_has_left_for_the_drain_timeout_at_most() {
    for answers in [true, false] {
        let (registry, begun, go) = slow();
        let drain = if answers { r#""60s""# } else { r#""1s""# };
        let settings = settings(&registry.url()).set("policy.immutable_tags", r#"["team/**:v*"]"#);
        let mut tidegate = Tidegate::start(settings.set("server.drain_timeout", drain));
        let mut client = Client::connect(&tidegate);
        let head = http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Content-Length: 2"]);
        client.send(format!("{head}{{}}"));
        begun.recv_timeout(DEADLINE).expect("the push reaches the registry");
        drop(client);
        tidegate.access.wait_for("the end of the push", |line| line.contains(r#""status":499"#));
        tidegate.signal(Signal::TERM);
        tidegate.log.wait_for("the signal", |line| line.contains("draining"));
        if answers {
            assert!(tidegate.is_running());
            go.send(()).unwrap();
        }
        tidegate.wait();
        let was_cut = tidegate.log.to_end().iter().any(|line| line.contains("were cut"));
        assert_eq!(was_cut, !answers, "{answers}");
    }
}

#[test]
fn an_immutable_tag_cannot_be_deleted_by_name_or_by_digest() {
    let registry = Registry::start();
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    let kept = push_tiny(&mut client, AUTH, "team/app", "v1");
    assert_eq!(pushed(&mut client, "team/app", "latest", "v1").status, 201);
    let free = push_tiny(&mut client, AUTH, "team/app", "edge");
    assert_kept(
        &delete(&mut client, "team/app", "v1"),
        "tag v1 of team/app exists and is immutable; it cannot be deleted",
    );
    assert_kept(
        &delete(&mut client, "team/app", &kept),
        "tag v1 of team/app points at this manifest and is immutable; it cannot be deleted",
    );
    assert_eq!(delete(&mut client, "team/app", &free).status, 202);
    assert_eq!(digest(&mut client, "team/app", "v1"), kept);
    // What does not exist is answered by the registry.
    let nothing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(delete(&mut client, "team/app", &nothing).status, 404);
    assert_eq!(delete(&mut client, "team/none", &nothing).status, 404);

    let tidegate = Tidegate::start(settings(&registry.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(delete(&mut client, "team/app", &kept).status, 202);
}

/// A registry that derives each answer from the request line: the status with header fields, and
/// the body.
pub fn script(answer: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> Fake {
    Fake::start(move |conversation: &mut Conversation| {
        while let Some(head) = conversation.read_head() {
            let (head_line, body) = answer(&head[0]);
            let length = body.len();
            let body = if head[0].starts_with("HEAD") { String::new() } else { body };
            conversation
                .write(format!("HTTP/1.1 {head_line}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
        }
    })
}

#[test]
fn a_tag_whose_existence_is_unknown_is_not_pushed_or_deleted() {
    for (answer, status) in [
        ("401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"x\"", 401),
        ("429 Too Many Requests\r\nRetry-After: 7", 429),
        ("500 Internal Server Error", 500),
        ("307 Temporary Redirect\r\nLocation: https://elsewhere/", 502),
        ("204 No Content", 502),
    ] {
        let registry = script(move |line| match line.split(' ').next() {
            Some("HEAD" | "GET") => (answer.to_owned(), "some text".to_owned()),
            _ => ("201 Created".to_owned(), String::new()),
        });
        let tidegate = immutable(&registry.url());
        for (method, reference) in [
            ("PUT", "v1".to_owned()),
            ("DELETE", "v1".to_owned()),
            ("DELETE", format!("sha256:{}", "a".repeat(64))),
        ] {
            let mut client = Client::connect(&tidegate);
            let line = format!("{method} /v2/team/app/manifests/{reference}");
            let response = client.exchange(&line, &[AUTH, "Content-Length: 0", "User-Agent: asker/1"]);
            assert_eq!((response.status, response.complete), (status, true), "{answer} {line}");
            for field in ["www-authenticate", "retry-after"] {
                assert_eq!(
                    response.all(field).is_empty(),
                    !answer.to_ascii_lowercase().contains(field),
                    "{answer}"
                );
            }
            assert!(response.all("location").is_empty());
            assert_eq!(
                client.exchange("PUT /v2/team/app/manifests/latest", &[AUTH, "Content-Length: 0"]).status,
                201
            );
        }
        let line = tidegate.access.wait_for("a line", |line| line.contains("asker/1"));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["status"] == status && line["cut"].is_null() && line["upstream"].is_string(), "{line}");
    }
}

#[test]
fn with_too_many_immutable_tags_to_look_up_no_manifest_can_be_deleted() {
    let registry = script(|line| {
        let digest = format!("200 OK\r\nDocker-Content-Digest: sha256:{}", "b".repeat(64));
        let tags = |count| (0..count).map(|number| format!("\"v{number}\"")).collect::<Vec<_>>().join(",");
        match line.split(' ').collect::<Vec<_>>()[..2] {
            ["GET", target] if target.starts_with("/v2/team/many/") => {
                ("200 OK".to_owned(), format!("{{\"tags\":[{}]}}", tags(1001)))
            }
            ["GET", target] if target.starts_with("/v2/team/some/") => {
                ("200 OK".to_owned(), format!("{{\"tags\":[{}]}}", tags(1000)))
            }
            ["GET", _] => ("200 OK".to_owned(), r#"{"tags":["v1"]}"#.to_owned()),
            ["HEAD", target] if target.starts_with("/v2/team/silent/") => {
                ("200 OK".to_owned(), String::new())
            }
            ["HEAD", _] => (digest, String::new()),
            _ => ("202 Accepted".to_owned(), String::new()),
        }
    });
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    let wanted = format!("sha256:{}", "a".repeat(64));
    assert_kept(
        &delete(&mut client, "team/many", &wanted),
        "team/many has more than 1000 immutable tags, too many to check whether one points at this manifest; it cannot be deleted",
    );
    assert_eq!(delete(&mut client, "team/some", &wanted).status, 202);
    assert_eq!(delete(&mut client, "team/silent", &wanted).status, 502);
    assert_kept(
        &delete(&mut client, "team/app", &format!("sha256:{}", "b".repeat(64))),
        "tag v1 of team/app points at this manifest and is immutable; it cannot be deleted",
    );
}
