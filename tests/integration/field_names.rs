//! The case of field names over HTTP/1.1.

use crate::harness::fake::Fake;
use crate::harness::http1::{Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};

/// The names of an answer's fields, as they were written, in order.
fn names(tidegate: &Tidegate, line: &str, fields: &[&str]) -> Vec<String> {
    let answer = Client::connect(tidegate).exchange(line, fields);
    let mut names: Vec<String> = answer.headers.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn names_are_in_title_case_or_in_the_case_that_registries_use_for_them() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\n\
        content-length: 0\r\n\
        content-md5: x\r\n\
        docker-content-digest: x\r\n\
        docker-upload-uuid: x\r\n\
        ETAG: x\r\n\
        oci-chunk-min-length: 1\r\n\
        oci-filters-applied: x\r\n\
        oci-subject: x\r\n\
        ratelimit-limit: 1\r\n\
        www-authenticate: Basic realm=\"a\"\r\n\
        WWW-AUTHENTICATE: Bearer realm=\"b\"\r\n\
        Www-Authenticate: Negotiate\r\n\
        x-vendor-field: x\r\n\r\n";
    let registry = Fake::scripted(ANSWER, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let expected = [
        "Content-Length",
        "Content-MD5",
        "Date",
        "Docker-Content-Digest",
        "Docker-Distribution-Api-Version",
        "Docker-Upload-UUID",
        "ETag",
        "OCI-Chunk-Min-Length",
        "OCI-Filters-Applied",
        "OCI-Subject",
        "RateLimit-Limit",
        "WWW-Authenticate",
        "WWW-Authenticate",
        "WWW-Authenticate",
        "X-Vendor-Field",
    ];
    assert_eq!(names(&tidegate, "GET /v2/", &[&authorized()]), expected);
}

#[test]
fn names_of_a_refusal_are_written_as_those_of_a_registry() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let written = names(&tidegate, "GET /v2/", &[]);
    for name in ["Docker-Distribution-Api-Version", "WWW-Authenticate", "Content-Type", "Content-Length"] {
        assert!(written.iter().any(|written| written == name), "{name}: {written:?}");
    }
    // hyper answers this one itself.
    let mut client = Client::connect(&tidegate);
    client.send("GET\r\n\r\n");
    let answer = client.response(false).unwrap();
    assert!(answer.headers.iter().all(|(name, _)| name.starts_with(|initial: char| initial.is_uppercase())));
}

#[test]
fn names_of_a_push_are_written_as_scripts_expect_them() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let start = names(&tidegate, "POST /v2/a/blobs/uploads/", &[&authorized(), "Content-Length: 0"]);
    for name in ["Docker-Upload-UUID", "Location", "Range", "Docker-Distribution-Api-Version"] {
        assert!(start.iter().any(|written| written == name), "{name}: {start:?}");
    }
}
