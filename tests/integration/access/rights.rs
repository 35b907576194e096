//! The rights to pull, push and delete, and the messages of refusals.

use serde_json::{Value, json};

use super::{Setup, path, with_images};
use crate::harness::image::sha256;

#[test]
fn everybody_can_pull_public_repositories_and_nobody_can_push_to_them() {
    let setup = with_images(&["public/app"]);
    for user in ["", "bob"] {
        let run = setup.skopeo(user, "inspect public/app:one");
        assert!(run.success, "{user}: {}", run.stderr);
    }
    let run = setup.skopeo("", "push public/app:two");
    assert!(!run.success && run.stderr.contains("unauthorized"), "{}", run.stderr);
    let run = setup.skopeo("bob", "push public/app:two");
    assert!(!run.success && run.stderr.contains("denied"), "{}", run.stderr);

    let push = setup.ask("", "PUT /v2/public/app/manifests/two", &["Content-Length: 0"]);
    assert_eq!((push.status, push.error_code().as_str()), (401, "UNAUTHORIZED"));
    assert!(push.text().contains("log in: docker login localhost"), "{}", push.text());

    assert_eq!(setup.status("", "GET /v2/public/app/tags/list"), 200);
    let ping = setup.ask("", "GET /v2/", &[]);
    assert_eq!(ping.status, 401, "docker sends its password only after a 401");
    assert_eq!(ping.all("WWW-Authenticate"), [r#"Basic realm="registry.localhost",charset="UTF-8""#]);
}

#[test]
fn a_private_repository_is_open_only_to_users_with_a_right_to_it() {
    let setup = with_images(&["team/app"]);
    let run = setup.skopeo("alice", "inspect team/app:one");
    assert!(run.success, "{}", run.stderr);
    let run = setup.skopeo("bob", "inspect team/app:one");
    assert!(!run.success && run.stderr.contains("denied: bob has no rights in team/app"), "{}", run.stderr);
    let run = setup.skopeo("", "inspect team/app:one");
    assert!(!run.success && run.stderr.contains("unauthorized"), "{}", run.stderr);
    let run = setup.skopeo("carol", "push team/tool:one");
    assert!(run.success, "{}", run.stderr);
    for (user, status) in [("", 401), ("bob", 403), ("robot", 403), ("alice", 200)] {
        assert_eq!(setup.status(user, "GET /v2/team/app/tags/list"), status, "{user}");
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        let manifest = setup.ask(user, "HEAD /v2/team/app/manifests/one", &[accept]);
        assert_eq!(manifest.status, status, "{user}");
        // This registry predates referrers.
        let referrers = format!("GET /v2/team/app/referrers/sha256:{}", "0".repeat(64));
        assert_eq!(setup.status(user, &referrers), if status == 200 { 404 } else { status }, "{user}");
    }
}

#[test]
fn a_refusal_names_the_right_and_the_repository() {
    let setup = with_images(&["team/app"]);
    for (user, line, sentence, actions) in [
        ("alice", "DELETE /v2/team/app/manifests/one", "alice may not delete from team/app", &["delete"][..]),
        ("bob", "PUT /v2/team/app/manifests/one", "bob has no rights in team/app", &["pull", "push"]),
        (
            "robot",
            "POST /v2/team/app/blobs/uploads/",
            "robot may not pull from team/app, which a push to it needs too",
            &["pull"],
        ),
    ] {
        let response = setup.ask(user, line, &["Content-Length: 0"]);
        assert_eq!((response.status, response.error_code().as_str()), (403, "DENIED"), "{line}");
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{sentence}; ask the administrator of localhost")), "{message}");
        assert_eq!(response.all("Warning"), [format!("299 - \"{message}\"")]);
        let entry = |action| json!({"Type": "repository", "Class": "", "Name": "team/app", "Action": action});
        assert_eq!(body["errors"][0]["detail"], actions.iter().map(entry).collect::<Value>());
    }
    let line = setup.tidegate.access.wait_for("the refusal", |line| line.contains("manifest-delete"));
    assert!(line.contains(r#""reason":"this user may not do this""#) && line.contains("team/app"), "{line}");
    // This registry deletes by digest only.
    assert_eq!(setup.status("root", "DELETE /v2/team/app/manifests/one"), 400);
}

#[test]
fn cancelling_an_upload_needs_push_and_deleting_needs_delete() {
    let setup = Setup::start();
    let start = |user: &str| setup.ask(user, "POST /v2/team/app/blobs/uploads/", &["Content-Length: 0"]);
    let upload = path(&start("alice"));
    assert_eq!(setup.status("robot", &format!("GET {upload}")), 403);
    assert_eq!(setup.status("bob", &format!("DELETE {upload}")), 403);
    assert_eq!(setup.status("", &format!("DELETE {upload}")), 401);
    assert_eq!(setup.status("robot", &format!("DELETE {upload}")), 204);
    let upload = path(&start("alice"));
    assert_eq!(setup.status("alice", &format!("GET {upload}")), 204);
    assert_eq!(setup.status("alice", &format!("DELETE {upload}")), 204);

    let digest = setup.push_blob("alice", "team/app");
    assert_eq!(setup.status("alice", &format!("DELETE /v2/team/app/blobs/{digest}")), 403);
    assert_eq!(setup.status("root", &format!("DELETE /v2/team/app/blobs/{digest}")), 202);
}

/// The registry signs the repository into the state of an upload.
#[test]
fn an_upload_continues_only_in_its_own_repository() {
    let setup = Setup::start();
    let begun = setup.ask("root", "POST /v2/secret/app/blobs/uploads/", &["Content-Length: 0"]);
    let (theirs, digest) = (path(&begun), format!("sha256:{}", sha256(b"ours")));
    assert_eq!(setup.status("alice", &format!("GET {theirs}")), 403);
    assert_eq!(setup.finish("alice", &begun, b"ours", &digest), 403);
    let moved = theirs.replace("/secret/", "/team/");
    let own = path(&setup.ask("alice", "POST /v2/team/app/blobs/uploads/", &["Content-Length: 0"]));
    let state = own.split_once('?').unwrap().1;
    let mixed = format!("{}?{state}", moved.split_once('?').unwrap().0);
    for target in [&moved, &mixed, &format!("{mixed}&{}", theirs.split_once('?').unwrap().1)] {
        assert_eq!(setup.status("alice", &format!("GET {target}")), 404, "{target}");
        assert_eq!(setup.status("alice", &format!("PUT {target}&digest={digest}")), 404, "{target}");
        assert_eq!(setup.status("alice", &format!("DELETE {target}")), 404, "{target}");
    }
    assert_eq!(setup.status("root", &format!("GET {theirs}")), 204, "it is still there");
}
