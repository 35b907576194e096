//! Mounts in the query, and hidden in the body.

use std::fs;

use super::{Setup, path};
use crate::harness::PASSWORD;
use crate::harness::image::{noise, sha256};
use crate::harness::tools::succeed;

#[test]
fn a_blob_is_mounted_only_from_where_it_may_be_pulled() {
    let setup = Setup::start();
    let bytes = noise(1000);
    let secret = setup.push_blob("root", "secret/base");
    let shared = setup.push_blob("root", "team/base");
    let mount = |query: String| {
        setup.ask("alice", &format!("POST /v2/team/app/blobs/uploads/?{query}"), &["Content-Length: 0"])
    };
    for query in [
        format!("mount={secret}&from=secret/base"),
        format!("from=team/base&mount={secret}&from=secret/base"),
        format!("%6dount={secret}&fr%6Fm=secret%2Fbase"),
        format!("mount={secret}"),
    ] {
        let answer = mount(query.clone());
        assert_eq!(answer.status, 202, "{query}");
        assert_eq!(setup.status("alice", &format!("HEAD /v2/team/app/blobs/{secret}")), 404, "{query}");
        let digest = format!("sha256:{}", sha256(&bytes));
        assert_eq!(setup.finish("alice", &answer, &bytes, &digest), 201, "the push goes on");
    }
    let left_out = |line: &str| line.contains(r#""status":202"#) && line.contains("the mount was left out");
    setup.tidegate.access.wait_for("the reason", left_out);
    assert_eq!(mount(format!("mount={secret};from=secret/base")).status, 400);
    assert_eq!(mount(format!("from=team%2Fbase&mount={shared}")).status, 201);
    assert_eq!(setup.status("alice", &format!("HEAD /v2/team/app/blobs/{shared}")), 200);
    let line = format!("POST /v2/team/app/blobs/uploads/?mount={secret}&from=secret/base");
    assert_eq!(setup.status("root", &line), 201);
}

/// Go prefers the parameters of a form in the body to those in the query.
#[test]
fn a_mount_in_the_body_is_ignored() {
    let setup = Setup::start();
    let secret = setup.push_blob("root", "secret/base");
    let folder = setup.tidegate.settings.path();
    let ca = folder.join("ca.crt").display().to_string();
    let form = format!("mount={secret}&from=secret/base");
    let kind = |kind: &str| format!("Content-Type: {kind}");
    // Go's ToLower turns a capital I with a dot into an i.
    let kinds =
        [kind("application/x-www-form-urlencoded"), kind("APPL\u{130}CATION/x-www-form-urlencoded ; x")];
    let fields = [format!("mount={secret}"), "from=secret/base".to_owned()];
    let mut bodies: Vec<Vec<&str>> =
        kinds.iter().map(|kind| vec!["--header", kind, "--data-binary", &form]).collect();
    bodies.push(vec!["--form", &fields[0], "--form", &fields[1]]);
    for body in bodies {
        let post = |arguments: &[&str]| {
            let start = [
                "--silent",
                "--show-error",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_code}",
                "--request",
                "POST",
            ];
            succeed("curl", &[&start, &body[..], arguments].concat())
        };
        let direct = format!("{}/v2/direct/blobs/uploads/", setup.registry.url());
        assert_eq!(post(&[&direct]), "201", "without tidegate, it is a mount: {body:?}");
        let url = format!("https://{}/v2/team/app/blobs/uploads/", setup.tidegate.host());
        let user = format!("alice:{PASSWORD}");
        assert_eq!(post(&["--cacert", &ca, "--user", &user, &url]), "202", "{body:?}");
    }
    assert_eq!(setup.status("alice", &format!("HEAD /v2/team/app/blobs/{secret}")), 404);
}

/// curl declares every body a form, which the registry would parse and lose.
#[test]
fn a_chunk_is_never_a_form() {
    let setup = Setup::start();
    let start = setup.ask("alice", "POST /v2/team/app/blobs/uploads/", &["Content-Length: 0"]);
    let folder = setup.tidegate.settings.path();
    fs::write(folder.join("blob"), noise(1000)).unwrap();
    let digest = sha256(&fs::read(folder.join("blob")).unwrap());
    let url = format!("https://{}{}&digest=sha256:{digest}", setup.tidegate.host(), path(&start));
    let body = format!("@{}", folder.join("blob").display());
    let (ca, user) = (folder.join("ca.crt"), format!("alice:{PASSWORD}"));
    let arguments = [
        "--silent",
        "--show-error",
        "--write-out",
        "%{http_code}",
        "--request",
        "PUT",
        "--data-binary",
        &body,
    ];
    let said = succeed(
        "curl",
        &[&arguments[..], &["--cacert", ca.to_str().unwrap(), "--user", &user, &url]].concat(),
    );
    assert_eq!(said, "201");
}
