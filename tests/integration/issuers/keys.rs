//! When the keys of an issuer are fetched, and what happens if they cannot be.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::harness::DEADLINE;
use crate::harness::token_issuer::Mood;

/// What a request waits for keys, and more than enough for the rest.
const PATIENCE: Duration = Duration::from_secs(8);

#[test]
fn keys_are_fetched_once_for_all_tokens() {
    let (issuer, _recorder, tidegate) = start();
    for _ in 0..5 {
        assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    }
    let counts = issuer.counts();
    assert_eq!((counts.discovery, counts.keys), (1, 1));
}

#[test]
fn the_first_tokens_wait_for_one_fetch_together() {
    let (issuer, _recorder, tidegate) = start();
    std::thread::scope(|scope| {
        let jobs: Vec<_> =
            (0..12).map(|_| scope.spawn(|| log_in(&tidegate, &issuer.token()).status)).collect();
        for job in jobs {
            assert_eq!(job.join().unwrap(), 200);
        }
    });
    assert_eq!(issuer.counts().discovery, 1);
}

#[test]
fn the_first_token_after_a_rotation_is_accepted_within_three_seconds() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let settings = settings(&issuer, &recorder.url(), TEAM).environment("TIDEGATE_TEST_KEYS_APART", "0");
    let tidegate = Tidegate::start(settings);
    let old = issuer.token();
    assert_eq!(log_in(&tidegate, &old).status, 200);
    issuer.rotate("second");
    assert_eq!(log_in(&tidegate, &old).status, 200, "nobody has asked for other keys yet");
    let start = Instant::now();
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(log_in(&tidegate, &old).status, 401, "its key is no longer that of the issuer");
}

#[test]
fn ten_thousand_tokens_with_made_up_kid_cost_one_fetch_in_thirty_seconds() {
    const CONNECTIONS: usize = 4;
    let (issuer, _recorder, tidegate) = start();
    let begin = Instant::now();
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (issuer, tidegate) = (&issuer, &tidegate);
            scope.spawn(move || {
                let mut client = Client::connect(tidegate);
                let token = issuer.token();
                let (_, rest) = token.split_once('.').unwrap();
                for number in 0..10_000 / CONNECTIONS {
                    use base64::Engine as _;
                    let header = json!({ "alg": "ES256", "kid": format!("{connection}-{number}") });
                    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
                    let made_up = password(&format!("{header}.{rest}"));
                    let response = client.exchange("GET /v2/", &[&made_up]);
                    assert!([401, 429].contains(&response.status), "{}", response.status);
                    if !response.all("connection").is_empty() {
                        client = Client::connect(tidegate);
                    }
                }
            });
        }
    });
    let most = 1 + begin.elapsed().as_secs() as usize / 30;
    let counts = issuer.counts();
    eprintln!("10,000 tokens in {:?}: {counts:?}", begin.elapsed());
    assert!(counts.discovery <= most && counts.keys <= most, "{counts:?} and not {most}");
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200, "who has a right token is not throttled");
}

#[test]
fn tokens_of_known_keys_go_on_while_the_issuer_is_off() {
    let (issuer, _recorder, tidegate) = start();
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    issuer.be(Mood::Gone);
    for branch in ["a", "b", "c"] {
        let token = issuer.sign(&issuer.claims_but(&json!({ "ref": branch })));
        assert_eq!(log_in(&tidegate, &token).status, 200);
    }
}

/// Whoever cannot be judged is not refused, and not counted as a failure.
#[test]
fn an_issuer_whose_keys_cannot_be_had_is_no_reason_to_refuse_or_to_accept() {
    for (mood, cause) in [
        (Mood::Gone, "handshake"),
        (Mood::Failing, "answered with the status 500"),
        (Mood::Lying, "holds the metadata of another issuer"),
        (Mood::Elsewhere, "answered with the status 302"),
        (Mood::KeysElsewhere, "answered with the status 302"),
        (Mood::KeysInClear, "the address of the keys, jwks_uri, is not an https URL"),
        (Mood::Endless, "its answer is longer than 262144 bytes"),
        (Mood::Garbled, "it is not a set of JSON Web Keys"),
        (Mood::Symmetric, "it has no key that can be used"),
    ] {
        let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
        issuer.be(mood);
        let settings = settings(&issuer, &recorder.url(), TEAM)
            .set("auth.throttle", "{ failures = 1 }")
            .environment("TIDEGATE_TEST_KEYS_APART", "0");
        let tidegate = Tidegate::start(settings);
        for _ in 0..3 {
            let response = log_in(&tidegate, &issuer.token());
            assert_eq!(response.status, 503, "{mood:?}: {}", response.text());
            assert_eq!(response.all("retry-after").len(), 1, "{mood:?}");
        }
        let line = tidegate
            .log
            .wait_for("the warning", |line| line.contains("the keys of the issuer cannot be fetched"));
        assert!(line.contains("WARN") && line.contains("gitlab") && line.contains(cause), "{mood:?}: {line}");
        let warnings = tidegate.log.so_far();
        let warnings = warnings.iter().filter(|line| line.contains("cannot be fetched")).count();
        assert_eq!(warnings, 1, "once in a minute");
        if mood == Mood::Elsewhere {
            assert_eq!(issuer.counts().keys, 0, "no redirect is followed");
        }
        if mood == Mood::Endless {
            let most = issuer.counts().bytes;
            assert!(most < 3 * (8 << 20), "{most} bytes were taken");
        }
        issuer.be(Mood::Honest);
        assert_eq!(log_in(&tidegate, &issuer.token()).status, 200, "{mood:?}");
    }
}

#[test]
fn a_silent_issuer_is_waited_for_three_seconds_and_does_not_delay_the_start() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    issuer.be(Mood::Silent);
    let start = Instant::now();
    let tidegate = Tidegate::start(settings(&issuer, &recorder.url(), TEAM));
    let started = start.elapsed();
    issuer.wait_for_discovery(1);
    let start = Instant::now();
    let response = log_in(&tidegate, &issuer.token());
    assert_eq!(response.status, 503);
    assert!(start.elapsed() < PATIENCE && started < DEADLINE, "{:?} {started:?}", start.elapsed());
    let user = get(&tidegate, "/v2/", &format!("Authorization: {}", crate::harness::BASIC));
    assert_eq!(user.status, 200, "other users are not concerned");
}

#[test]
fn an_edit_of_a_file_of_keys_counts_at_once() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let keys = crate::harness::signer::Signer::stranger();
    let set = |id: &str| {
        let mut key = keys.jwk();
        key["kid"] = json!(id);
        json!({ "keys": [key] }).to_string()
    };
    let settings = settings(&issuer, &recorder.url(), &format!("{TEAM}\nkeys = \"keys.json\""));
    let file = settings.path().join("keys.json");
    std::fs::write(&file, set("first")).unwrap();
    let tidegate = Tidegate::start(settings);
    let token = |id: &str| keys.sign(&json!({ "alg": "ES256", "kid": id }), &issuer.claims());
    assert_eq!(log_in(&tidegate, &token("first")).status, 200);
    assert_eq!(log_in(&tidegate, &token("second")).status, 401);
    std::fs::write(&file, set("second")).unwrap();
    assert_eq!(log_in(&tidegate, &token("second")).status, 200);
    assert_eq!(log_in(&tidegate, &token("first")).status, 401);
    assert_eq!(
        issuer.counts(),
        crate::harness::token_issuer::Counts::default(),
        "nobody has asked the issuer"
    );
}
