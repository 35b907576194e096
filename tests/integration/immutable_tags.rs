//! Immutable tags: the same manifest again, what a tag needs, and the tags of referrers.

use serde_json::{Value, json};

use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::image::{put_manifest, sha256, tiny_manifest, upload};
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;
use crate::policy::{AUTH, assert_kept, delete, immutable, pushed, script, settings};

fn sha512(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(client: &mut Client, reference: &str, field: &str, manifest: &[u8]) -> Response {
    let length = format!("Content-Length: {}", manifest.len());
    client.send(http1::head(&format!("PUT /v2/team/app/manifests/{reference}"), &[AUTH, field, &length]));
    client.send(manifest);
    client.response(false).unwrap()
}

/// A registry whose tags v1 and v2 have `manifest`, and which fails each push.
fn with_manifest(manifest: &[u8], digest: Option<String>) -> crate::harness::fake::Fake {
    let text = String::from_utf8(manifest.to_vec()).unwrap();
    let head = digest.map_or_else(String::new, |digest| format!("\r\nDocker-Content-Digest: {digest}"));
    script(move |line| match line.split(' ').collect::<Vec<_>>()[..2] {
        ["GET", target] if target.contains("/referrers/") => ("200 OK".to_owned(), "{}".to_owned()),
        ["HEAD" | "GET", target] if target.ends_with("/v1") || target.ends_with("/v2") => {
            (format!("200 OK{head}"), text.clone())
        }
        ["HEAD" | "GET", _] => ("404 Not Found".to_owned(), String::new()),
        _ => ("500 Forwarded".to_owned(), String::new()),
    })
}

#[test]
fn the_very_manifest_of_an_immutable_tag_is_answered_201_and_not_forwarded() {
    let (manifest, by_sha256) = tiny_manifest(b"{}", "one");
    let (other, other_digest) = tiny_manifest(b"{}", "two");
    for known in [Some(by_sha256.clone()), Some(format!("sha512:{}", sha512(&manifest))), None] {
        let registry = with_manifest(&manifest, known.clone());
        let tidegate = immutable(&registry.url());
        let known = known.unwrap_or_else(|| by_sha256.clone());
        for (reference, field) in [
            ("v1".to_owned(), "Content-Type: application/vnd.oci.image.manifest.v1+json"),
            ("v1".to_owned(), "Content-Type: text/plain"),
            ("v1?tag=v2".to_owned(), "X: y"),
            (format!("{by_sha256}?tag=v1&tag=v2"), "Expect: 100-continue"),
        ] {
            let mut client = Client::connect(&tidegate);
            let mut again = put(&mut client, &reference, field, &manifest);
            if again.status == 100 {
                again = client.response(false).unwrap();
            }
            assert_eq!((again.status, again.text().as_str()), (201, ""), "{reference}");
            assert_eq!(again.all("docker-content-digest"), [&*known]);
            let location = format!("https://localhost/v2/team/app/manifests/{known}");
            assert_eq!(again.all("location"), [&*location]);
            assert_eq!(again.all("docker-distribution-api-version"), ["registry/2.0"]);
            assert!(again.all("oci-subject").is_empty());
            // The connection goes on.
            assert_eq!(client.exchange("GET /v2/team/app/manifests/v1", &[AUTH]).status, 200);
        }
        let exists = "tag v1 of team/app exists with other content and is immutable; push another tag";
        assert_kept(&put(&mut Client::connect(&tidegate), "v1", "X: y", &other), exists);
        let reference = format!("{other_digest}?tag=v1");
        assert_kept(&put(&mut Client::connect(&tidegate), &reference, "X: y", &other), exists);
        // What would change something is forwarded: a new tag, one that may change, a wrong digest.
        for reference in ["v1?tag=v3", "v1?tag=latest", &format!("{other_digest}?tag=v1")] {
            let forwarded = put(&mut Client::connect(&tidegate), reference, "X: y", &manifest);
            assert_eq!(forwarded.status, 500, "{reference}");
        }
        let line = tidegate.access.wait_for("its line", |line| line.contains("nothing was forwarded"));
        assert!(line.contains(r#""status":201"#), "{line}");
    }
}

#[test]
fn a_repeated_push_tells_whether_the_registry_lists_referrers() {
    let subject = format!("sha256:{}", "a".repeat(64));
    let manifest = json!({"schemaVersion": 2, "subject": {"digest": subject}}).to_string();
    let registry =
        with_manifest(manifest.as_bytes(), Some(format!("sha256:{}", sha256(manifest.as_bytes()))));
    let tidegate = immutable(&registry.url());
    let again = put(&mut Client::connect(&tidegate), "v1", "X: y", manifest.as_bytes());
    assert_eq!((again.status, again.all("oci-subject")), (201, vec![&*subject]));
}

#[test]
fn the_manifest_of_a_push_to_an_immutable_tag_is_bounded() {
    let registry = with_manifest(b"{}", None);
    let settings = settings(&registry.url()).set("policy.immutable_tags", r#"["**:*"]"#);
    let tidegate = Tidegate::start(settings.set("limits.manifest_bytes", r#""1KiB""#));
    let large = vec![b' '; 1025];
    assert_eq!(put(&mut Client::connect(&tidegate), "v1", "X: y", &large).status, 413);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Transfer-Encoding: chunked"]));
    client.send(format!("401\r\n{}\r\n0\r\n\r\n", " ".repeat(1025)));
    assert_eq!(client.response(false).unwrap().status, 413);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("PUT /v2/team/app/manifests/v1", &[AUTH, "Transfer-Encoding: chunked"]));
    client.send("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
    assert_eq!(client.response(false).unwrap().status, 201);
}

#[test]
fn long_manifests_that_are_held_in_memory_leave_room_for_other_networks() {
    let registry = with_manifest(b"{}", None);
    let settings = settings(&registry.url())
        .set("policy.immutable_tags", r#"["team/**:*"]"#)
        .set("server.threads", "1")
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("upstream.connect_timeout", r#""1s""#);
    let tidegate = Tidegate::start(settings);
    let mut proxy = http2::Client::connect(&tidegate);
    let begin = |proxy: &mut http2::Client, client: u8, field: &str| {
        let client = format!("x-forwarded-for: 192.0.2.{client}");
        let fields = [AUTH, &client, field];
        proxy.send(http2::request("PUT", "localhost", "/v2/team/app/manifests/new", &fields), false)
    };
    let push = |proxy: &mut http2::Client, client: u8, field: &str| {
        let (answer, mut body) = begin(proxy, client, field);
        proxy.data(&mut body, b"{}", true).unwrap();
        proxy.head(answer).unwrap().status().as_u16()
    };
    assert_eq!(push(&mut proxy, 1, "x: y"), 500, "forwarded");
    // They have no length, so they may be long. One network has at most half of 32.
    let held: Vec<_> = (0..16).map(|_| begin(&mut proxy, 1, "x: y")).collect();
    assert_eq!(push(&mut proxy, 1, "x: y"), 429);
    assert_eq!(push(&mut proxy, 1, "content-length: 2"), 500, "a short one needs no place");
    assert_eq!(push(&mut proxy, 2, "x: y"), 500, "another network");
    drop(held);
    assert_eq!(push(&mut proxy, 1, "x: y"), 500);
}

#[test]
fn tags_that_stand_in_for_a_referrers_api_may_change_although_all_tags_are_immutable() {
    let registry = Registry::start();
    let tidegate =
        Tidegate::start(settings(&registry.url()).set("policy.immutable_tags", r#"["team/**:*"]"#));
    let mut client = Client::connect(&tidegate);
    upload(&mut client, AUTH, "team/app", b"{}");
    let digits = "0123456789abcdef".repeat(4);
    let tags = ["", ".sig", ".att", ".sbom"].map(|suffix| format!("sha256-{digits}{suffix}"));
    for tag in tags.iter().chain([&format!("sha512-{digits}")]) {
        for note in ["one", "two"] {
            assert_eq!(pushed(&mut client, "team/app", tag, note).status, 201, "{tag} {note}");
        }
    }
    for tag in [format!("sha256-{digits}0"), format!("sha256-{}", &digits[1..]), format!("sha256-{digits}.")]
    {
        assert_eq!(pushed(&mut client, "team/app", &tag, "one").status, 201, "{tag}");
        assert_eq!(pushed(&mut client, "team/app", &tag, "two").status, 409, "{tag}");
        client = Client::connect(&tidegate);
    }
    let settings = settings(&registry.url()).set("policy.immutable_tags", r#"["team/**:*"]"#);
    let tidegate = Tidegate::start(settings.set("policy.immutable_referrers", "true"));
    for tag in tags {
        let refused = pushed(&mut Client::connect(&tidegate), "team/app", &tag, "three");
        assert_eq!(refused.status, 409, "{tag}");
    }
}

fn delete_blob(client: &mut Client, digest: &str) -> Response {
    client.exchange(&format!("DELETE /v2/team/app/blobs/{digest}"), &[AUTH])
}

/// Pushes a blob to team/app, and describes it.
fn blob(client: &mut Client, bytes: &[u8]) -> Value {
    upload(client, AUTH, "team/app", bytes);
    let kind = "application/vnd.oci.image.layer.v1.tar";
    json!({"mediaType": kind, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

/// Pushes a manifest by its digest, and describes it.
fn manifest(client: &mut Client, kind: &str, content: &Value) -> Value {
    let kind = format!("application/vnd.oci.image.{kind}.v1+json");
    let mut content = content.clone();
    content["schemaVersion"] = json!(2);
    content["mediaType"] = json!(kind);
    let bytes = content.to_string().into_bytes();
    let digest = format!("sha256:{}", sha256(&bytes));
    let pushed = put(client, &digest, &format!("Content-Type: {kind}"), &bytes);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    json!({"mediaType": kind, "digest": digest, "size": bytes.len(), "content": content})
}

fn text(described: &Value) -> &str {
    described["digest"].as_str().unwrap()
}

#[test]
fn nothing_that_an_immutable_tag_needs_can_be_deleted() {
    let registry = Registry::start();
    let tidegate = immutable(&registry.url());
    let mut client = Client::connect(&tidegate);
    let [config, layer, free] = [&b"a config"[..], b"a layer", b"free"].map(|bytes| blob(&mut client, bytes));
    let image = json!({"config": config, "layers": [layer]});
    let mut image = manifest(&mut client, "manifest", &image);
    image.as_object_mut().unwrap().remove("content");
    let inner = manifest(&mut client, "index", &json!({"manifests": [image]}));
    let mut described = inner.clone();
    described.as_object_mut().unwrap().remove("content");
    let outer = manifest(&mut client, "index", &json!({"manifests": [described]}));
    let bytes = outer["content"].to_string().into_bytes();
    let kind = "Content-Type: application/vnd.oci.image.index.v1+json";
    assert_eq!(put(&mut client, "v1", kind, &bytes).status, 201);

    for needed in [&config, &layer] {
        assert_kept(
            &delete_blob(&mut client, text(needed)),
            "tag v1 of team/app needs this blob and is immutable; it cannot be deleted",
        );
    }
    for needed in [&image, &inner] {
        assert_kept(
            &delete(&mut client, "team/app", text(needed)),
            "tag v1 of team/app needs this manifest and is immutable; it cannot be deleted",
        );
    }
    assert_kept(
        &delete(&mut client, "team/app", text(&outer)),
        "tag v1 of team/app points at this manifest and is immutable; it cannot be deleted",
    );
    // Anything else can: a blob and a manifest that no immutable tag needs.
    assert_eq!(delete_blob(&mut client, text(&free)).status, 202);
    let (other, other_digest) = tiny_manifest(b"a config", "other");
    assert_eq!(put_manifest(&mut client, AUTH, "team/app", "latest", &other).status, 201);
    assert_eq!(delete(&mut client, "team/app", &other_digest).status, 202);
    let accept = "Accept: application/vnd.oci.image.index.v1+json";
    let found = client.exchange("HEAD /v2/team/app/manifests/v1", &[AUTH, accept]);
    assert_eq!((found.status, found.all("docker-content-digest")), (200, vec![text(&outer)]));
}

#[test]
fn what_an_immutable_tag_needs_is_kept_where_it_cannot_be_known() {
    const FIRST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    let wanted = format!("sha256:{}", "a".repeat(64));
    let registry = script(|line| {
        let target = line.split(' ').nth(1).unwrap().to_owned();
        let found = format!("200 OK\r\nDocker-Content-Digest: {FIRST}");
        if line.starts_with("DELETE") {
            ("202 Accepted".to_owned(), String::new())
        } else if target.contains("/tags/list") {
            ("200 OK".to_owned(), r#"{"tags":["v1"]}"#.to_owned())
        } else if target.starts_with("/v2/team/large") {
            (found, format!("{{}}{}", " ".repeat(4 << 20)))
        } else if target.starts_with("/v2/team/text") {
            (found, "not JSON".to_owned())
        } else if target.starts_with("/v2/team/wide") {
            // None of these can be read.
            assert!(target.ends_with("/v1") || target.ends_with(FIRST), "{target}");
            let images = (0..2001).map(|number| format!("{{\"digest\":\"sha256:{number:064}\"}}"));
            (found, format!("{{\"manifests\":[{}]}}", images.collect::<Vec<_>>().join(",")))
        } else if target.starts_with("/v2/team/gone") && !target.ends_with("/v1") && !target.ends_with(FIRST)
        {
            ("404 Not Found".to_owned(), String::new())
        } else {
            // A chain of indexes: each manifest refers to one that it was not asked for.
            let next = format!("sha256:{}", sha256(target.as_bytes()));
            (found, format!("{{\"manifests\":[{{\"digest\":\"{next}\"}}]}}"))
        }
    });
    let tidegate = immutable(&registry.url());
    let kept = |reason: &str| format!("tag v1 of {reason}; it cannot be deleted");
    for (repository, reason) in [
        (
            "team/large",
            format!("team/large is immutable and may need this blob: manifest {FIRST} is larger than 4 MiB"),
        ),
        ("team/text", format!("team/text is immutable and may need this blob: manifest {FIRST} is not JSON")),
        (
            "team/endless",
            "team/endless is immutable and may need this blob: the tags have more than 2000 manifests"
                .to_owned(),
        ),
        (
            "team/wide",
            "team/wide is immutable and may need this blob: the tags have more than 2000 manifests"
                .to_owned(),
        ),
    ] {
        let line = format!("DELETE /v2/{repository}/blobs/{wanted}");
        assert_kept(&Client::connect(&tidegate).exchange(&line, &[AUTH]), &kept(&reason));
    }
    // An image of an index that is gone already needs nothing.
    let line = format!("DELETE /v2/team/gone/blobs/{wanted}");
    assert_eq!(Client::connect(&tidegate).exchange(&line, &[AUTH]).status, 202);
    // Nor is anything looked up where no tag is immutable.
    let line = format!("DELETE /v2/elsewhere/blobs/{wanted}");
    assert_eq!(Client::connect(&tidegate).exchange(&line, &[AUTH]).status, 202);
}
