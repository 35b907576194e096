//! Limits on sizes and numbers.

use crate::harness::http1::{self, Client, Response};
use crate::harness::http2;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

#[test]
fn a_head_that_is_too_long_or_has_too_many_fields_is_refused() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("limits.header_bytes", r#""8KiB""#)
        .set("limits.headers", "20");
    let tidegate = Tidegate::start(settings);
    let long = format!("X-Long: {}", "a".repeat(9000));
    let many: Vec<String> = (0..30).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<&str> = [AUTH].into_iter().chain(many.iter().map(String::as_str)).collect();
    for fields in [&[AUTH, &long][..], &many] {
        let response = Client::connect(&tidegate).exchange("GET /v2/", fields);
        assert_eq!(response.status, 431, "{} fields", fields.len());
        let mut client = http2::Client::connect(&tidegate);
        let (answer, _) = client.send(http2::request("GET", "localhost", "/v2/", fields), true);
        match client.answer(answer) {
            Ok(answer) => assert_eq!(answer.status(), 431, "{} fields", fields.len()),
            Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
        }
    }
    assert!(recorder.record().requests.is_empty());
}

/// podman asks for up to 1,023 parts of a layer at once. It halves them on 400 and gives up on 431.
#[test]
fn too_many_ranges_are_answered_so_that_podman_asks_for_fewer() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.header_bytes", r#""8KiB""#);
    let tidegate = Tidegate::start(settings);
    let path = format!("/v2/team/app/blobs/sha256:{}", "0".repeat(64));
    let line = format!("GET {path}");
    let ranges = |count: u32| {
        let parts: Vec<_> = (0..count).map(|part| format!("{0}000000-{0}999999", part + 1000)).collect();
        format!("Range: bytes={}", parts.join(","))
    };
    let mut client = Client::connect(&tidegate);
    for (count, status) in [(1023, 400), (511, 400), (255, 200)] {
        let response = client.exchange(&line, &[AUTH, &ranges(count)]);
        assert_eq!(response.status, status, "{count}: {}", response.text());
        // podman prints each warning, and this pull goes on.
        assert!(response.all("warning").is_empty(), "{count}");
    }
    let long = format!("X-Long: {}", "a".repeat(9000));
    let response = client.exchange("GET /v2/", &[AUTH, &ranges(1023), &long]);
    assert_eq!(response.status, 431, "the rest is too large too");

    let answer = http2::Client::connect(&tidegate).exchange(http2::request(
        "GET",
        "localhost",
        &path,
        &[AUTH, &ranges(1023)],
    ));
    let response: Response = answer.into();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("ask for fewer ranges"), "{}", response.text());
}

/// Checks what every refusal has: the OCI error, the API version once, and a line in the access
/// log.
fn assert_answered_and_logged(tidegate: &Tidegate, response: &Response, agent: &str) {
    assert_eq!(response.status, 431, "{agent}");
    assert_eq!(response.error_code(), "UNSUPPORTED", "{agent}");
    assert_eq!(response.all("content-type"), ["application/json"], "{agent}");
    assert_eq!(response.all("docker-distribution-api-version"), ["registry/2.0"], "{agent}");
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["status"], 431, "{line}");
    assert!(line["reason"].is_string(), "{line}");
}

#[test]
fn a_head_that_is_a_little_over_the_limit_is_refused_with_a_body_and_a_line_in_the_log() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("limits.header_bytes", r#""8KiB""#)
        .set("limits.headers", "100");
    let tidegate = Tidegate::start(settings);
    let long = format!("X-Long: {}", "a".repeat(9000));
    let many: Vec<String> = (0..120).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (name, fields) in [("long", &[long.as_str()][..]), ("many", &many)] {
        let agent = format!("{name}-one/1");
        let agent_field = format!("User-Agent: {agent}");
        let fields: Vec<&str> = [AUTH, &agent_field].into_iter().chain(fields.iter().copied()).collect();
        let response = Client::connect(&tidegate).exchange("GET /v2/", &fields);
        assert_answered_and_logged(&tidegate, &response, &agent);

        let agent = format!("{name}-two/1");
        let agent_field = format!("User-Agent: {agent}");
        let fields: Vec<&str> = [AUTH, &agent_field].into_iter().chain(fields[2..].iter().copied()).collect();
        let answer =
            http2::Client::connect(&tidegate).exchange(http2::request("GET", "localhost", "/v2/", &fields));
        assert!(answer.end.is_ok());
        assert_answered_and_logged(&tidegate, &answer.into(), &agent);
    }
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn a_cookie_in_two_hundred_crumbs_is_one_field_and_reaches_the_registry_whole() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let crumbs: Vec<String> = (0..200).map(|number| format!("c{number}=x")).collect();
    let fields: Vec<String> = crumbs.iter().map(|crumb| format!("cookie: {crumb}")).collect();
    let fields: Vec<&str> = [AUTH].into_iter().chain(fields.iter().map(String::as_str)).collect();
    let mut client = http2::Client::connect(&tidegate);
    assert_eq!(client.exchange(http2::request("GET", "localhost", "/v2/", &fields)).status(), 200);
    let seen = recorder.wait_for("the request", |_| true);
    assert_eq!(seen.all("Cookie"), [crumbs.join("; ")]);
}

#[test]
fn a_manifest_beyond_the_limit_is_refused_and_a_blob_is_not() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.manifest_bytes", r#""1KiB""#);
    let tidegate = Tidegate::start(settings);
    let manifest = "PUT /v2/a/manifests/latest";
    let upload = "PATCH /v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
    let sized = |line: &str, size: usize| {
        let mut client = Client::connect(&tidegate);
        client.send(http1::head(line, &[AUTH, &format!("Content-Length: {size}")]));
        client.send(vec![b' '; size]);
        client.response(false).unwrap().status
    };
    assert_eq!(sized(manifest, 1024), 200);
    assert_eq!(sized(upload, 4096), 200);
    recorder.settle().unwrap();
    assert_eq!(sized(manifest, 1025), 413);
    assert!(recorder.record().requests.is_empty(), "the length shows it before the body is sent");

    let mut client = Client::connect(&tidegate);
    client.send(http1::head(manifest, &[AUTH, "Transfer-Encoding: chunked"]));
    client.send(format!("1000\r\n{}\r\n0\r\n\r\n", " ".repeat(4096)));
    assert_eq!(client.response(false).unwrap().status, 413);
    let record = recorder.settle().unwrap();
    let whole =
        |seen: &&crate::harness::recorder::Seen| seen.state == crate::harness::recorder::State::Complete;
    assert_eq!(record.requests.iter().filter(whole).count(), 0, "a manifest without a length is truncated");

    let mut client = http2::Client::connect(&tidegate);
    let (answer, mut body) =
        client.send(http2::request("PUT", "localhost", "/v2/a/manifests/latest", &[AUTH]), false);
    let _ = client.data(&mut body, &[b' '; 4096], true);
    assert_eq!(client.answer(answer).unwrap().status(), 413);
}

#[test]
fn one_address_gets_at_most_its_share_of_connections() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.connections_per_ip", "3");
    let tidegate = Tidegate::start(settings);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&tidegate)).collect();
    for client in &mut clients {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    }
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    assert!(Tls::connect_with(tidegate.address, config).is_err(), "the fourth is rejected");
    // When one client leaves, another may come, as soon as tidegate has noticed.
    let mut leaver = clients.pop().unwrap();
    leaver.send(http1::head("GET /v2/", &[AUTH, "Connection: close"]));
    assert_eq!(leaver.response(false).unwrap().status, 200);
    assert!(leaver.ends());
    drop(leaver);
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    while Tls::connect_with(tidegate.address, config.clone()).is_err() {
        assert!(std::time::Instant::now() < deadline, "a released connection slot stays taken");
    }
}

#[test]
fn new_connections_beyond_the_limit_wait_for_those_with_a_request() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()).set("limits.connections", "2"));
    let mut uploads: Vec<Client> = (0..2).map(|_| Client::connect(&tidegate)).collect();
    for (number, upload) in uploads.iter_mut().enumerate() {
        let line = format!("PUT /v2/a/manifests/{number}");
        upload.send(http1::head(&line, &[AUTH, "Content-Length: 11"]));
        recorder.wait_for("the upload", |seen| line.ends_with(&seen.head.target));
    }
    std::thread::scope(|scope| {
        let third = scope.spawn(|| Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status);
        // The connected clients keep working while the third waits.
        for _ in 0..10 {
            uploads.iter_mut().for_each(|upload| upload.send(" "));
            tidegate.resident_kib();
        }
        assert!(!third.is_finished(), "the third is not served beside two others");
        uploads[0].send(" ");
        assert_eq!(uploads[0].response(false).unwrap().status, 200);
        assert_eq!(third.join().unwrap(), 200);
    });
    assert!(uploads[0].ends(), "the connection that has become idle makes room");
    uploads[1].send(" ");
    assert_eq!(uploads[1].response(false).unwrap().status, 200);
}
