use std::time::{Duration, SystemTime};

use http::Version;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::fixtures::record;
use super::super::text::{MAX_FIELD, acts};
use super::*;

/// The record of a request before anything is known about it.
fn bare() -> Record {
    Record {
        user: None,
        repository: None,
        reference: None,
        first_byte: None,
        upstream: None,
        upstream_time: None,
        retries: None,
        user_agent: String::new(),
        truncated: None,
        bytes_out: 0,
        reason: Some("bad Host".into()),
        operation: "other",
        ..record()
    }
}

fn parsed(record: &Record) -> Value {
    serde_json::from_str(&record.json()).unwrap()
}

#[test]
fn json_says_everything() {
    assert_eq!(
        record().json(),
        concat!(
            r#"{"time":"2023-11-14T22:13:20.042Z","id":"01j","peer":"10.0.0.1","client":"2001:db8::1","#,
            r#""user":"alice","method":"PATCH","host":"registry.example.com:5043","#,
            r#""path":"/v2/team/app/blobs/uploads/u-1","protocol":"HTTP/2.0","tls_version":"1.3","tls_resumed":true,"#,
            r#""operation":"upload-chunk","#,
            r#""repository":"team/app","reference":"u-1","status":202,"bytes_in":1099511627776,"bytes_out":17,"#,
            r#""duration_ms":1234.567,"first_byte_ms":1.5,"upstream":"http://registry:5000","upstream_ms":1.4,"#,
            r#""retries":1,"#,
            r#""user_agent":"docker/27.3.1 go/go1.22.7","cut":"client"}"#
        )
    );
}

#[test]
fn a_digest_follows_the_reference() {
    let read = Record { digest: Some("sha256:00".to_owned()), ..record() };
    assert!(read.json().contains(r#""reference":"u-1","digest":"sha256:00","status""#), "{}", read.json());
}

#[test]
fn durations_are_milliseconds_with_three_decimals_at_most() {
    for (nanoseconds, expected) in [
        (0, "0"),
        (499, "0"),
        (500, "0.001"),
        (10_000, "0.01"),
        (100_000, "0.1"),
        (120_000, "0.12"),
        (1_000_499, "1"),
        (999_999_500, "1000"),
        (3_600_000_050_000, "3600000.05"),
    ] {
        let line = Record { duration: Duration::from_nanos(nanoseconds), ..record() }.json();
        assert!(line.contains(&format!(r#""duration_ms":{expected},"#)), "{line}");
    }
}

#[test]
fn the_manual_explains_each_field_and_names_it_in_other_schemas() {
    let manual = include_str!("../../../docs/access-log.md");
    let everything = Record {
        claimed: Some("bob".to_owned()),
        certificate: Some("ci".to_owned()),
        digest: Some("sha256:00".to_owned()),
        trace_id: TraceId::of(&trace()),
        reason: Some("bad Host".into()),
        ..record()
    };
    for key in parsed(&everything).as_object().unwrap().keys() {
        let rows = manual.lines().filter(|line| {
            line.starts_with("| `") && line.split(" | ").next().unwrap().contains(&format!("`{key}`"))
        });
        assert_eq!(rows.count(), 2, "{key}");
    }
}

#[test]
fn the_transform_for_vector_reads_fields_that_exist() {
    let (transform, manual) =
        (include_str!("../../../deploy/vector/ecs.vrl"), include_str!("../../../docs/access-log.md"));
    let read = regex::Regex::new(r"\bline\.([a-z_0-9]+)").unwrap();
    let fields: Vec<&str> = read.captures_iter(transform).map(|found| found.extract::<1>().1[0]).collect();
    assert!(fields.len() > 15, "{fields:?}");
    for field in fields {
        assert!(manual.contains(&format!("\n| `{field}` |")), "{field}");
    }
}

fn trace() -> http::HeaderMap {
    let field = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    [(field.0.parse().unwrap(), field.1.parse().unwrap())].into_iter().collect()
}

#[test]
fn the_trace_follows_the_id() {
    let line = Record { trace_id: TraceId::of(&trace()), ..record() }.json();
    assert!(line.contains(r#""id":"01j","trace_id":"0af7651916cd43dd8448eb211c80319c","peer""#), "{line}");
}

#[test]
fn json_leaves_out_what_is_not_known() {
    let keys: Vec<_> = parsed(&bare()).as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "time",
        "id",
        "peer",
        "client",
        "method",
        "host",
        "path",
        "protocol",
        "tls_version",
        "tls_resumed",
        "operation",
        "status",
        "bytes_in",
        "bytes_out",
        "duration_ms",
        "reason",
    ];
    expected.sort_unstable();
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn combined_as_apache_writes_it() {
    assert_eq!(
        record().combined(),
        concat!(
            r#"2001:db8::1 - alice [14/Nov/2023:22:13:20 +0000] "PATCH /v2/team/app/blobs/uploads/u-1 HTTP/2.0" "#,
            r#"202 17 "-" "docker/27.3.1 go/go1.22.7""#
        )
    );
    assert_eq!(
        Record { version: Version::HTTP_11, status: 400, ..bare() }.combined(),
        concat!(
            r#"2001:db8::1 - - [14/Nov/2023:22:13:20 +0000] "PATCH /v2/team/app/blobs/uploads/u-1 HTTP/1.1" "#,
            r#"400 - "-" "-""#
        )
    );
}

#[test]
fn combined_keeps_its_fields_apart() {
    let hostile =
        Record { user: Some("a b\"".to_owned()), user_agent: "x\" 200 \\ \n\u{7f}ä".to_owned(), ..record() };
    let line = hostile.combined();
    assert!(line.starts_with(r#"2001:db8::1 - a\x20b\" ["#), "{line}");
    assert!(line.ends_with(r#" "-" "x\" 200 \\ \x0a\x7f\xc3\xa4""#), "{line}");
    assert!(Record { user: Some(String::new()), ..record() }.combined().contains(" - \"\" ["));
}

#[test]
fn json_escapes_what_a_terminal_acts_upon() {
    let agent = "\u{1b}[2J\r\n\u{7f}\u{9b}2J\u{2028}\u{202e}ä\"\\";
    let hostile = Record { user_agent: agent.to_owned(), ..record() };
    let line = hostile.json();
    assert!(line.contains(r#""user_agent":"\u001b[2J\r\n\u007f\u009b2J\u2028\u202eä\"\\""#), "{line}");
    assert_eq!(parsed(&hostile)["user_agent"], agent);
}

#[test]
fn credentials_in_urls_are_hidden() {
    let hostile = Record {
        path: "http://bob:hunter2@registry/v2/?token=hunter2#hunter2".to_owned(),
        host: "bob:hunter2@registry".to_owned(),
        upstream: Some("http://bob:hunter2@registry:5000".into()),
        user_agent: "curl //bob:hunt/er2@a https://bob:hunter2@b (me@example.com)".to_owned(),
        user: Some("bob@example.com".to_owned()),
        ..record()
    };
    let line = parsed(&hostile);
    assert_eq!(line["path"], "http://***@registry/v2/");
    assert_eq!(line["host"], "***@registry");
    assert_eq!(line["upstream"], "***@registry:5000");
    assert_eq!(line["user_agent"], "curl //***@a https://***@b (me@example.com)");
    assert_eq!(line["user"], "bob@example.com");
    assert!(!hostile.combined().contains("hunter2"));
}

#[test]
fn a_query_is_never_written() {
    let hostile = Record { path: "/v2/x/blobs/uploads/u?_state=secret".to_owned(), ..record() };
    assert_eq!(parsed(&hostile)["path"], "/v2/x/blobs/uploads/u");
    assert!(!hostile.combined().contains("secret"));
}

#[test]
fn long_fields_are_cut_between_characters() {
    let long =
        Record { user_agent: format!("x{}", "ä".repeat(5000)), path: "/".repeat(100_000), ..record() };
    assert_eq!(parsed(&long)["user_agent"], json!(format!("x{}...", "ä".repeat((MAX_FIELD - 1) / 2))));
    assert!(long.json().len() < 4 * MAX_FIELD);
    assert!(long.combined().len() < 8 * MAX_FIELD);
}

#[test]
fn clocks_that_are_wrong() {
    let year = 366 * 24 * 3600;
    for time in [
        SystemTime::UNIX_EPOCH - Duration::from_secs(1),
        SystemTime::UNIX_EPOCH + Duration::from_secs(9000 * year),
    ] {
        assert_eq!(parsed(&Record { time, ..record() })["time"], "1970-01-01T00:00:00.000Z");
    }
}

proptest! {
    #[test]
    fn any_text_gives_one_line(
        text in prop_oneof![any::<String>(), "[a-z@:/ \\\\\"\n\u{7f}-\u{9f}]{0,40}"],
        duration: Duration,
    ) {
        let hostile = Record {
            user: Some(text.clone()),
            method: text.clone(),
            path: text.clone(),
            host: text.clone(),
            repository: Some(text.clone()),
            reference: Some(text.clone()),
            upstream: Some(text.as_str().into()),
            user_agent: text.clone(),
            id: text.clone(),
            duration,
            ..record()
        };
        let json = hostile.json();
        prop_assert!(!json.chars().any(acts));
        if !text.contains('@') {
            prop_assert_eq!(&parsed(&hostile)["user"], &json!(text));
        }
        let combined = hostile.combined();
        prop_assert!(combined.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        // Only the request, the referrer and the user agent are in quotes.
        let quotes = combined.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        prop_assert_eq!(quotes, if text.is_empty() { 8 } else { 6 });
    }

    #[test]
    fn user_information_never_shows(password in "[a-z/:@?# ]{0,10}", host in "[a-z/]{0,10}") {
        let secret = format!("http://u:5ecret{}@{host}", password.replace(char::is_whitespace, ""));
        let hostile = Record {
            path: secret.split(['?', '#']).next().unwrap().to_owned(),
            host: secret.clone(),
            upstream: Some(secret.as_str().into()),
            user_agent: secret.clone(),
            ..record()
        };
        prop_assume!(hostile.path.contains('@'));
        prop_assert!(!hostile.json().contains("5ecret"));
        prop_assert!(!hostile.combined().contains("5ecret"));
    }
}
