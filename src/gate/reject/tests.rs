use http::header;

use super::*;
use crate::registry::rights::Rights;
use crate::registry::scope::Scope;
use crate::upstream::UpstreamError;

const NO_HEADER: &str = "";
/// The messages of distribution's error table. Its Go client drops a message that equals the one of
/// its code.
const DISTRIBUTION_MESSAGES: [&str; 19] = [
    "unknown error",
    "The operation is unsupported.",
    "authentication required",
    "requested access to the resource is denied",
    "service unavailable",
    "too many requests",
    "provided digest did not match uploaded content",
    "provided length did not match content length",
    "invalid content range",
    "invalid repository name",
    "manifest tag did not match URI",
    "repository name not known to registry",
    "manifest unknown",
    "manifest invalid",
    "manifest failed signature verification",
    "blob unknown to registry",
    "blob upload unknown to registry",
    "blob upload invalid",
    "invalid number of results requested",
];

/// Every refusal with its status, code and header, and whether it ends the connection.
fn table() -> Vec<(Refusal, u16, Code, &'static str, bool)> {
    let challenge = || Some(HeaderValue::from_static("Basic realm=\"r\""));
    let missing = || Scope::repository("team/app", Rights::PULL | Rights::PUSH);
    let insufficient = |is_stranger| Refusal::Insufficient {
        missing: missing(),
        is_stranger,
        is_routine: false,
        reason: "reason",
        client_message: "message".to_owned(),
        challenge: challenge(),
    };
    let unauthorized = |challenge| Refusal::Unauthorized {
        reason: "reason".into(),
        client_message: "message".to_owned(),
        challenge,
        is_routine: false,
    };
    let asks = "www-authenticate: Basic realm=\"r\"";
    vec![
        (Refusal::Malformed("x"), 400, Code::Unsupported, NO_HEADER, true),
        (Refusal::Plaintext, 400, Code::Unsupported, NO_HEADER, true),
        (Refusal::Path, 400, Code::NameInvalid, NO_HEADER, true),
        (Refusal::Misdirected, 421, Code::Unsupported, NO_HEADER, true),
        (Refusal::Unasked, 421, Code::Denied, NO_HEADER, true),
        (Refusal::Certificate(StatusCode::FORBIDDEN, "x"), 403, Code::Denied, NO_HEADER, false),
        (Refusal::Certificate(StatusCode::NOT_FOUND, "x"), 404, Code::NameUnknown, NO_HEADER, false),
        (Refusal::Agent(StatusCode::GONE), 410, Code::Unsupported, NO_HEADER, false),
        (Refusal::ForeignOrigin, 403, Code::Denied, NO_HEADER, false),
        (Refusal::Moved(None), 301, Code::Unsupported, "location: /v2/", false),
        (Refusal::Moved(Some("n=1".to_owned())), 301, Code::Unsupported, "location: /v2/?n=1", false),
        (Refusal::NoSuchPath, 404, Code::Unsupported, NO_HEADER, false),
        (Refusal::Method, 405, Code::Unsupported, "allow: GET, HEAD, POST, PUT, PATCH, DELETE", true),
        (Refusal::NoMethod("GET, HEAD"), 405, Code::Unsupported, "allow: GET, HEAD", false),
        (Refusal::NoPath, 404, Code::Unsupported, NO_HEADER, false),
        (Refusal::Expectation, 417, Code::Unsupported, NO_HEADER, false),
        (Refusal::TooManyRanges, 400, Code::Unsupported, NO_HEADER, false),
        (Refusal::HeadTooLarge, 431, Code::Unsupported, NO_HEADER, false),
        (unauthorized(challenge()), 401, Code::Unauthorized, asks, false),
        (unauthorized(None), 401, Code::Unauthorized, NO_HEADER, false),
        (insufficient(true), 401, Code::Unauthorized, asks, false),
        (insufficient(false), 401, Code::Denied, asks, false),
        (Refusal::BadTokenRequest("x"), 400, Code::Unsupported, NO_HEADER, false),
        (
            Refusal::Denied { missing: missing(), client_message: "message".to_owned() },
            403,
            Code::Denied,
            NO_HEADER,
            false,
        ),
        (Refusal::NotOffered { message: "x", methods: "" }, 405, Code::Unsupported, "allow: ", false),
        (Refusal::Immutable("x".to_owned()), 409, Code::Denied, NO_HEADER, false),
        (Refusal::PageSize, 400, Code::PaginationNumberInvalid, NO_HEADER, false),
        (Refusal::Busy, 429, Code::TooManyRequests, "retry-after: 2", false),
        (Refusal::Unsigned, 503, Code::Unavailable, "retry-after: 2", false),
        (
            Refusal::Throttled(Duration::from_millis(1001)),
            429,
            Code::TooManyRequests,
            "retry-after: 2",
            false,
        ),
        (Refusal::Throttled(Duration::ZERO), 429, Code::TooManyRequests, "retry-after: 1", false),
        (
            Refusal::WrongAgain(Duration::from_secs(3), "wrong"),
            429,
            Code::TooManyRequests,
            "retry-after: 3",
            false,
        ),
        (Refusal::NoSource, 503, Code::Unavailable, "retry-after: 5", false),
        (Refusal::Crowded, 429, Code::TooManyRequests, "retry-after: 2", false),
        (Refusal::BodyTooLarge, 413, Code::SizeInvalid, NO_HEADER, false),
        (Refusal::Client(ClientFault::TooSlow), 408, Code::Unknown, NO_HEADER, true),
        (Refusal::Client(ClientFault::Gone), 400, Code::Unknown, NO_HEADER, true),
        (Refusal::BadGateway("secret".to_owned()), 502, Code::Unavailable, NO_HEADER, false),
        (Refusal::NoAnswer(UpstreamError::Vanished), 502, Code::Unavailable, NO_HEADER, false),
        (Refusal::GatewayTimeout, 504, Code::Unavailable, NO_HEADER, false),
    ]
}

#[test]
fn every_refusal_has_its_row() {
    for (refusal, status, code, header, closes) in table() {
        let name = format!("{refusal:?}");
        let is_routine = matches!(refusal, Refusal::TooManyRanges);
        let row = row(refusal);
        assert_eq!(row.closes, closes, "{name}");
        assert!(!row.reason.is_empty(), "{name}");
        let response = print(row);
        assert_eq!(response.status(), status, "{name}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["errors"][0]["code"], code.as_str(), "{name}");
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !DISTRIBUTION_MESSAGES.contains(&message), "{name}: {message}");
        let warning = response.headers().get(header::WARNING);
        let warns = !is_routine && !response.status().is_redirection();
        let expected = warns.then(|| format!("299 - \"{message}\""));
        assert_eq!(warning.map(|value| value.to_str().unwrap()), expected.as_deref(), "{name}");
        let common = [API_VERSION, header::CONTENT_TYPE, header::X_CONTENT_TYPE_OPTIONS];
        assert!(common.iter().all(|common| response.headers().contains_key(common)), "{name}");
        let own =
            response.headers().iter().filter(|(name, _)| !common.contains(name) && *name != header::WARNING);
        let own: Vec<_> = own.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(own.join("\n"), header, "{name}");
    }
}

#[test]
fn the_client_does_not_learn_what_is_for_the_log() {
    for refusal in [
        Refusal::BadGateway("secret".to_owned()),
        Refusal::Certificate(StatusCode::FORBIDDEN, "secret"),
        Refusal::Unauthorized {
            reason: "secret".into(),
            client_message: "no".to_owned(),
            challenge: None,
            is_routine: false,
        },
    ] {
        let text = print(row(refusal)).into_body();
        assert!(!String::from_utf8_lossy(&text).contains("secret"), "{text:?}");
    }
}

#[test]
fn missing_rights_are_named_and_listed() {
    let missing = Scope::repository("team/app", Rights::DELETE);
    let denied = Refusal::Denied { missing, client_message: "no".to_owned() };
    let body: Value = serde_json::from_slice(print(row(denied)).body()).unwrap();
    assert_eq!(body["errors"][0]["message"], "no");
    assert_eq!(body["errors"][0]["detail"][0]["Action"], "delete");
}

#[test]
fn an_answer_of_the_registry_stays_as_it_is() {
    let answer = |status: StatusCode| {
        let mut answer = Response::new(Bytes::from_static(b"its own"));
        *answer.status_mut() = status;
        row(Refusal::Registry(Box::new(answer)))
    };
    let response = print(answer(StatusCode::IM_A_TEAPOT));
    assert_eq!((response.status(), &response.body()[..]), (StatusCode::IM_A_TEAPOT, &b"its own"[..]));
    assert!(response.headers().is_empty());
    assert_eq!(answer(StatusCode::UNAUTHORIZED).reason, REGISTRY_ASKS);
    assert_ne!(answer(StatusCode::FORBIDDEN).reason, REGISTRY_ASKS);
}

#[test]
fn a_session_that_goes_well_prints_no_warning() {
    let begins = Refusal::Unauthorized {
        reason: "no credentials".into(),
        client_message: "no credentials; log in".to_owned(),
        challenge: None,
        is_routine: true,
    };
    let goes_on = Refusal::Insufficient {
        missing: Scope::repository("team/app", Rights::PUSH),
        is_stranger: false,
        is_routine: true,
        reason: "reason",
        client_message: "message".to_owned(),
        challenge: None,
    };
    for refusal in [begins, goes_on, Refusal::TooManyRanges] {
        assert!(!print(row(refusal)).headers().contains_key(header::WARNING));
    }
}
