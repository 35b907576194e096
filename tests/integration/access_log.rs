//! One line per request, written after its body has ended, with everything but secrets.

use serde_json::Value;

use crate::harness::fake::{Fake, refusing};
use crate::harness::http1::{self, Client};
use crate::harness::openssl::talk;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{basic, http2};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/team/app/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";

/// The log line of the request with the user agent `agent`.
fn line(tidegate: &Tidegate, agent: &str) -> Value {
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

#[test]
fn a_line_has_the_facts_that_operators_need() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let host = format!("Host: {}", tidegate.host());
    let mut client = Client::connect(&tidegate);
    client.exchange("GET /v2/team/app/manifests/latest?state=token", &[&host, AUTH, "User-Agent: reader/1"]);
    let read = line(&tidegate, "reader/1");
    for (key, expected) in [
        ("peer", "127.0.0.1"),
        ("client", "127.0.0.1"),
        ("user", "testuser"),
        ("method", "GET"),
        ("path", "/v2/team/app/manifests/latest"),
        ("host", &tidegate.host()),
        ("operation", "manifest-get"),
        ("repository", "team/app"),
        ("reference", "latest"),
        ("user_agent", "reader/1"),
    ] {
        assert_eq!(read[key], expected, "{key} in {read}");
    }
    assert_eq!(
        (&read["status"], &read["bytes_in"], &read["bytes_out"]),
        (&200.into(), &0.into(), &2.into()),
        "{read}"
    );
    for key in ["time", "protocol", "duration", "first_byte", "upstream", "id"] {
        assert!(read.as_object().unwrap().keys().any(|name| name.starts_with(key)), "{key} in {read}");
    }
    assert!(
        read["upstream"].as_str().unwrap().contains(recorder.url().rsplit('/').next().unwrap()),
        "{read}"
    );

    client
        .send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "User-Agent: writer/1", "Content-Length: 5"]));
    client.send(b"HELLO");
    client.response(false).unwrap();
    let written = line(&tidegate, "writer/1");
    assert_eq!(written["operation"], "upload-chunk");
    assert_eq!((&written["bytes_in"], &written["bytes_out"]), (&5.into(), &2.into()), "{written}");

    let mut client = http2::Client::connect(&tidegate);
    client.exchange(http2::request("HEAD", "localhost", "/v2/", &[AUTH, "User-Agent: second/1"]));
    let second = line(&tidegate, "second/1");
    assert_eq!((&second["method"], &second["operation"]), (&"HEAD".into(), &"ping".into()), "{second}");
    assert!(second["protocol"].as_str().unwrap().contains('2'), "{second}");
    assert_eq!(second["bytes_out"], 0, "{second}");
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A registry that answers the first request on each connection, with these fields, and closes it
/// upon the second.
fn forgetful(fields: &str) -> Fake {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
    Fake::start(move |conversation| {
        if conversation.read_head().is_some() {
            conversation.write(answer.as_bytes());
            conversation.read_head();
        }
    })
}

#[test]
fn a_line_has_the_digest_that_the_registry_names() {
    let other = DIGEST.replace("e3b0", "0000");
    for (fields, expected) in [
        (format!("Docker-Content-Digest: {DIGEST}\r\n"), Value::from(DIGEST)),
        ("Docker-Content-Digest: sha256:short\r\n".to_owned(), Value::Null),
        ("Docker-Content-Digest: \r\n".to_owned(), Value::Null),
        ("Docker-Content-Digest: \u{e9}\r\n".to_owned(), Value::Null),
        (format!("Docker-Content-Digest: {DIGEST}\r\nDocker-Content-Digest: {other}\r\n"), Value::Null),
        (String::new(), Value::Null),
    ] {
        let fake = forgetful(&fields);
        let tidegate = Tidegate::start(Settings::for_upstream(&fake.url()));
        let response =
            Client::connect(&tidegate).exchange("HEAD /v2/a/manifests/v1", &[AUTH, "User-Agent: a/1"]);
        assert_eq!(response.status, 200);
        let line = line(&tidegate, "a/1");
        assert_eq!((&line["reference"], &line["digest"]), (&"v1".into(), &expected), "{line}");
    }
}

#[test]
fn a_line_has_the_time_of_the_registry_and_the_repetitions() {
    let fake = forgetful("");
    let settings = Settings::for_upstream(&fake.url()).set("server.threads", "1");
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    for (number, request, status, retries) in [
        (1, "GET /v2/", 200, 0),
        (2, "GET /v2/", 200, 1),
        (3, "POST /v2/a/blobs/uploads/", 502, 0),
        (4, "GET /v2/", 200, 0),
    ] {
        let agent = format!("agent/{number}");
        let fields = [AUTH, &format!("User-Agent: {agent}"), "Content-Length: 0"];
        assert_eq!(client.exchange(request, &fields).status, status, "{agent}");
        let line = line(&tidegate, &agent);
        assert_eq!(line["retries"], retries, "{line}");
        assert_eq!(line["upstream_ms"].is_number(), status == 200, "{line}");
        if let Some(upstream) = line["upstream_ms"].as_f64() {
            assert!(upstream <= line["first_byte_ms"].as_f64().unwrap(), "{line}");
        }
    }
}

#[test]
fn a_line_says_how_the_connection_is_secured() {
    let tidegate = Tidegate::start(Settings::for_upstream(&refusing()));
    let session = tidegate.settings.path().join("session");
    let session = session.to_str().unwrap();
    for (option, version) in [("-tls1_2", "1.2"), ("-tls1_3", "1.3")] {
        for (file, resumed) in [("-sess_out", false), ("-sess_in", true)] {
            let before = tidegate.access.len();
            talk(&tidegate, &[option, file, session]);
            let line = tidegate.access.wait_after(before, "its line", |_| true);
            let line: Value = serde_json::from_str(&line).unwrap();
            let told = (&line["tls_version"], &line["tls_resumed"]);
            assert_eq!(told, (&version.into(), &resumed.into()), "{line}");
        }
    }
}

#[test]
fn questions_to_the_registry_are_not_the_request() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"repositories\":[\"a/b\"]}";
    let fake = Fake::scripted(answer, false);
    let access = "[[access]]\nrepositories = [\"a/**\"]\nusers = [\"testuser\"]\nactions = [\"pull\"]\n";
    let tidegate = Tidegate::start(Settings::for_upstream(&fake.url()).tables(access));
    let mut client = Client::connect(&tidegate);
    for (request, agent, status, is_asked) in [
        ("GET /v2/_catalog", "a/1", 200, true),
        ("GET /v2/b/manifests/v1", "a/2", 403, false),
        ("GET /nothing", "a/3", 404, false),
    ] {
        let fields = [AUTH, &format!("User-Agent: {agent}")];
        assert_eq!(client.exchange(request, &fields).status, status, "{agent}");
        let line = line(&tidegate, agent);
        assert_eq!(line["upstream"].is_string(), is_asked, "{line}");
        assert!(line["upstream_ms"].is_null() && line["retries"].is_null(), "{line}");
    }
}

#[test]
fn refusals_are_logged_too_with_the_reason() {
    let tidegate = Tidegate::start(Settings::for_upstream(&refusing()));
    let wrong = format!("Authorization: {}", basic("testuser", "wrong"));
    for (fields, agent, status) in [
        (vec![wrong.as_str()], "stranger/1", 401),
        (vec![AUTH], "hopeful/1", 502),
        (vec![AUTH], "docker/1.3.0", 404),
        (vec![AUTH, "Host: b"], "twohosts/1", 400),
    ] {
        let agent_field = format!("User-Agent: {agent}");
        let mut fields = fields;
        fields.push(&agent_field);
        if agent.starts_with("twohosts") {
            fields.push("Host: a");
        }
        let response = Client::connect(&tidegate).exchange("GET /v2/", &fields);
        assert_eq!(response.status, status, "{agent}");
        let refused = line(&tidegate, agent);
        assert_eq!(refused["status"], status, "{refused}");
        assert!(refused["reason"].is_string(), "{refused}");
        if status == 401 {
            assert!(refused["user"].is_null(), "the client is not authenticated: {refused}");
            assert_eq!(refused["claimed"], "testuser", "{refused}");
        }
    }
}

#[test]
fn a_registry_that_asks_for_credentials_is_not_logged_as_a_wrong_password() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"registry\"\r\nContent-Length: 0\r\n\r\n";
    let fake = Fake::scripted(answer, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&fake.url()));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, "User-Agent: a/1"]).status, 401);
    let line = line(&tidegate, "a/1");
    assert_eq!(line["user"], "testuser", "{line}");
    assert_eq!(line["reason"], "the registry itself asks for credentials, see upstream.authorization");
}

#[test]
fn each_request_has_one_line_and_none_is_lost_at_shutdown() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    for _ in 0..5 {
        let mut client = Client::connect(&tidegate);
        for _ in 0..20 {
            client.exchange("GET /v2/", &[AUTH]);
        }
    }
    tidegate.signal(rustix::process::Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert_eq!(tidegate.access.to_end().len(), 100);
}

#[test]
fn no_output_holds_a_secret() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("log.level", r#""trace""#);
    let mut tidegate = Tidegate::start(settings);
    let encoded = "dGVzdHVzZXI6dGVzdHBhc3M";
    let hash = std::fs::read_to_string(tidegate.settings.path().join("htpasswd")).unwrap();
    let hash = hash.trim().split(':').nth(1).unwrap().to_owned();
    let wrong_password = format!("Authorization: {}", basic("testuser", "hunter2"));
    let password_as_user = format!("Authorization: {}", basic("hunter2", "testuser"));
    let unreadable = "Authorization: Basic hunter2";
    let token = "Authorization: Bearer hunter2";
    for field in [AUTH, &wrong_password, &password_as_user, unreadable, token] {
        Client::connect(&tidegate).exchange("GET /v2/?_state=hunter2", &[field]);
        http2::Client::connect(&tidegate).exchange(http2::request(
            "GET",
            "localhost",
            "/v2/?_state=hunter2",
            &[field],
        ));
    }
    Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, "Cookie: hunter2", "X Y: broken"]);
    tidegate.signal(rustix::process::Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    let mut output = tidegate.log.to_end();
    output.extend(tidegate.access.to_end());
    for secret in ["testpass", encoded, "hunter2", "aHVudGVyMg", "aHVudGVyMjp0ZXN0dXNlcg", hash.as_str()] {
        let told = output.iter().find(|line| line.contains(secret));
        assert_eq!(told, None, "{secret} was printed");
    }
}

#[test]
fn log_analysers_can_read_the_combined_format() {
    let recorder = Recorder::start();
    let tidegate =
        Tidegate::start(Settings::for_upstream(&recorder.url()).set("log.access_format", r#""combined""#));
    Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, "User-Agent: a \"quoted\" one"]);
    let line = tidegate.access.wait_for("the line", |line| line.contains("quoted"));
    let combined = regex::Regex::new(
        r#"^127\.0\.0\.1 - testuser \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /v2/ HTTP/1\.1" 200 2 "-" "a \\"quoted\\" one""#,
    );
    assert!(combined.unwrap().is_match(&line), "{line}");
}

#[test]
fn a_log_file_is_reopened_after_it_was_moved() {
    let recorder = Recorder::start();
    let tidegate =
        Tidegate::start(Settings::for_upstream(&recorder.url()).set("log.access", r#""access.log""#));
    let (file, moved) =
        (tidegate.settings.path().join("access.log"), tidegate.settings.path().join("access.log.1"));
    let mut client = Client::connect(&tidegate);
    client.exchange("GET /v2/", &[AUTH, "User-Agent: before/1"]);
    std::fs::rename(&file, &moved).unwrap();
    let start = tidegate.log.len();
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    client.exchange("GET /v2/", &[AUTH, "User-Agent: after/1"]);
    let mut tidegate = tidegate;
    tidegate.signal(rustix::process::Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(std::fs::read_to_string(moved).unwrap().contains("before/1"));
    let after = std::fs::read_to_string(file).unwrap();
    assert!(after.contains("after/1") && !after.contains("before/1"), "{after}");
}

#[test]
fn the_log_of_the_program_itself_can_be_json() {
    let recorder = Recorder::start();
    let mut tidegate =
        Tidegate::start(Settings::for_upstream(&recorder.url()).set("log.format", r#""json""#));
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    tidegate.signal(rustix::process::Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    for line in tidegate.log.to_end() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
}
