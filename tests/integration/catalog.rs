//! The catalog shows each client the repositories that the client may pull, in pages, and no
//! others.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};

use serde_json::Value;

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client, Response};
use crate::harness::image::push_tiny;
use crate::harness::library::{Library, owned};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::{DEADLINE, PASSWORD, USER, basic, http2, tools};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
/// The user may pull repositories that end in `-open`; the admin may pull everything.
const RULES: &str = r#"
[[access]]
users = ["testuser"]
repositories = ["team/*-open"]
actions = ["pull"]

[[access]]
users = ["admin"]
repositories = ["team/**"]
actions = ["catalog", "pull"]
"#;

/// 5,000 repositories, of which the user may see 37, far from each other.
fn shelf() -> Vec<String> {
    let ending = |number| if number % 137 == 5 { "open" } else { "shut" };
    (0..5000).map(|number| format!("team/r{number:04}-{}", ending(number))).collect()
}

fn visible(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| name.ends_with("-open")).cloned().collect()
}

fn settings(upstream: &str) -> Settings {
    let settings = Settings::for_upstream(upstream).tables(RULES);
    settings.write_users(&[(USER, PASSWORD), ("admin", PASSWORD)]);
    settings
}

fn names(response: &Response) -> Vec<String> {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The target of the only `Link` of an answer.
fn next(response: &Response) -> Option<String> {
    let links = response.all("link");
    assert!(links.len() <= 1, "{links:?}");
    let link = links.first()?.strip_prefix('<').unwrap();
    Some(link.strip_suffix(r#">; rel="next""#).unwrap().to_owned())
}

/// Follows all pages from `first` on.
fn follow(client: &mut Client, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut target) = (Vec::new(), Some(first.to_owned()));
    while let Some(here) = target {
        let response = client.exchange(&format!("GET {here}"), &[AUTH]);
        assert_eq!(response.status, 200, "{here}: {}", response.text());
        assert!(!format!("{response:?}{}", response.text()).contains("shut"), "{here}: {response:?}");
        pages.push(names(&response));
        target = next(&response);
        assert!(pages.len() < 1000, "it ends");
    }
    pages
}

#[test]
fn pages_hold_the_pullable_names_and_cost_about_one_reading_of_the_catalog() {
    let all = shelf();
    let expected = visible(&all);
    assert_eq!((all.len(), expected.len()), (5000, 37));
    let library = Library::in_pages(all);
    let tidegate = Tidegate::start(settings(&library.fake.url()));
    let mut client = Client::connect(&tidegate);

    let pages = follow(&mut client, "/v2/_catalog?n=10");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 7]);
    assert_eq!(pages.concat(), expected);
    let given = library.given();
    eprintln!("{} names in {} requests", given.names, given.asked.len());
    assert!(given.names < 2 * 5000 && given.asked.len() < 20, "{} in {}", given.names, given.asked.len());

    // A page that holds exactly the rest is the last, however long the registry's catalog is.
    for n in [37, 38, 1000] {
        assert_eq!(
            follow(&mut client, &format!("/v2/_catalog?n={n}")),
            std::slice::from_ref(&expected),
            "{n}"
        );
    }
    assert_eq!(follow(&mut client, "/v2/_catalog?n=36").concat(), expected);
    assert_eq!(follow(&mut client, "/v2/_catalog").concat(), expected);
    library.given();

    // For a user who may see every name, a page costs no more than itself.
    let tidegate = Tidegate::start(
        Settings::for_upstream(&library.fake.url())
            .tables("[[access]]\nusers = [\"*\"]\nrepositories = [\"team/**\"]\nactions = [\"pull\"]\n"),
    );
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /v2/_catalog?n=10", &[AUTH]);
    assert_eq!(next(&response).unwrap(), "/v2/_catalog?last=team%2Fr0009-shut&n=10");
    assert_eq!(library.given().names, 11);
}

#[test]
fn the_answer_is_the_same_over_http2_and_its_line_in_the_log_is_right() {
    let library = Library::in_pages(shelf());
    let tidegate = Tidegate::start(settings(&library.fake.url()));
    let mut client = Client::connect(&tidegate);
    let get = client.exchange("GET /v2/_catalog?n=2&last=team%2Fr0005-open", &[AUTH, "User-Agent: lister/1"]);
    assert_eq!(get.text(), r#"{"repositories":["team/r0142-open","team/r0279-open"]}"#);
    assert_eq!(get.all("link"), [r#"</v2/_catalog?last=team%2Fr0279-open&n=2>; rel="next""#]);
    assert_eq!(get.all("content-type"), ["application/json"]);
    assert_eq!(get.all("docker-distribution-api-version"), ["registry/2.0"]);
    assert!(get.all("x-registry").is_empty());

    let line = tidegate.access.wait_for("its line", |line| line.contains("lister/1"));
    let line: Value = serde_json::from_str(&line).unwrap();
    let expected = ("catalog", "testuser", 200, get.body.len() as u64);
    let found = (&line["operation"], &line["user"], &line["status"], &line["bytes_out"]);
    assert_eq!(
        found,
        (&expected.0.into(), &expected.1.into(), &expected.2.into(), &expected.3.into()),
        "{line}"
    );
    assert!(line["upstream"].is_string() && line["cut"].is_null(), "{line}");

    let head = client.exchange("HEAD /v2/_catalog?n=2&last=team%2Fr0005-open", &[AUTH]);
    assert_eq!((head.status, head.all("link")), (200, get.all("link")));
    assert_eq!(head.all("content-length"), [get.body.len().to_string()]);
    let mut client = http2::Client::connect(&tidegate);
    let target = "/v2/_catalog?n=2&last=team%2Fr0005-open";
    let answer = client.exchange(http2::request("GET", "localhost", target, &[AUTH]));
    assert_eq!((answer.status(), answer.all("link")), (200, get.all("link")));
    assert_eq!(answer.body, get.body);
    let answer = client.exchange(http2::request("HEAD", "localhost", target, &[AUTH]));
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    // A body is refused here as on any GET; an empty frame is not a body.
    for (body, status) in [(&b"body"[..], 400), (b"", 200)] {
        let (answer, mut stream) = client.send(http2::request("GET", "localhost", target, &[AUTH]), false);
        client.data(&mut stream, body, true).unwrap();
        assert_eq!(client.answer(answer).unwrap().status(), status);
    }

    // The registry gets the same fields as with any request.
    let asked = library.given().asked.concat().join("\n").to_ascii_lowercase();
    for field in
        ["host: localhost", "x-forwarded-proto: https", "x-forwarded-for: 127.0.0.1", "x-real-ip: 127.0.0.1"]
    {
        assert!(asked.contains(field), "{field}: {asked}");
    }
    assert!(asked.contains(&format!("authorization: {}", basic(USER, "")).to_ascii_lowercase()), "{asked}");
}

#[test]
fn an_invalid_n_is_refused_and_a_large_one_is_capped() {
    let library = Library::in_pages((0..1500).map(|number| format!("team/r{number:04}-open")).collect());
    let tidegate = Tidegate::start(settings(&library.fake.url()));
    let mut client = Client::connect(&tidegate);
    for n in ["x", "-1", "1.5", "%2B1"] {
        let response = client.exchange(&format!("GET /v2/_catalog?n={n}"), &[AUTH]);
        assert_eq!(
            (response.status, response.error_code().as_str()),
            (400, "PAGINATION_NUMBER_INVALID"),
            "{n}"
        );
    }
    let none = client.exchange("GET /v2/_catalog?n=0", &[AUTH]);
    assert_eq!((none.text().as_str(), next(&none)), (r#"{"repositories":[]}"#, None));
    assert!(library.given().asked.is_empty(), "none of this may reach the registry");
    for (query, length) in
        [("", 100), ("?n=", 100), ("?n=1000", 1000), ("?n=1001", 1000), ("?n=9999999999999999999999", 1000)]
    {
        let response = client.exchange(&format!("GET /v2/_catalog{query}"), &[AUTH]);
        assert_eq!(names(&response).len(), length, "{query}");
        let last = format!("/v2/_catalog?last=team%2Fr{:04}-open&n={length}", length - 1);
        assert_eq!(next(&response), Some(last), "{query}");
    }
}

#[test]
fn registries_without_pages_or_with_short_ones_are_read_to_the_end() {
    let all = shelf();
    let expected = visible(&all);
    // These registries always return everything, or at most a hundred names, or a full page without
    // a Link.
    let whole = Library::start(all.clone(), |_, ask| Ok((ask.names.to_vec(), false)));
    let short = Library::start(all.clone(), |_, ask| owned(ask.in_pages(100, 100)));
    let mute =
        Library::start(all.clone(), |_, ask| owned(ask.in_pages(100, 1000).map(|(names, _)| (names, false))));
    for (kind, library) in [("whole", &whole), ("short", &short), ("mute", &mute)] {
        let tidegate = Tidegate::start(settings(&library.fake.url()));
        let mut client = Client::connect(&tidegate);
        let pages = follow(&mut client, "/v2/_catalog?n=10");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 7], "{kind}");
        assert_eq!(pages.concat(), expected, "{kind}");
    }
    whole.given();
    let tidegate = Tidegate::start(settings(&whole.fake.url()));
    let mut client = Client::connect(&tidegate);
    let first = client.exchange("GET /v2/_catalog?n=10", &[AUTH]);
    assert_eq!(whole.given().asked.len(), 1, "a registry that returned everything is not asked again");
    assert_eq!(names(&first), expected[..10]);
}

#[test]
fn the_start_of_a_page_does_not_reveal_whether_a_hidden_name_exists() {
    let all = shelf();
    let expected = visible(&all);
    let whole = Library::start(all.clone(), |_, ask| Ok((ask.names.to_vec(), false)));
    // As with zot: the answer is empty after a name that does not exist.
    let exact = Library::start(all.clone(), |_, ask| {
        let Some(last) = &ask.last else { return owned(ask.in_pages(100, 1000)) };
        if ask.names.contains(last) { owned(ask.in_pages(100, 1000)) } else { Ok((Vec::new(), false)) }
    });
    for (kind, library) in [("whole", whole), ("exact", exact), ("pages", Library::in_pages(all))] {
        let tidegate = Tidegate::start(settings(&library.fake.url()));
        let mut client = Client::connect(&tidegate);
        for last in ["team%2Fr0999-shut", "team%2Fr0999-none", "team%2Fr0999", "team%2Fr0999-%ff"] {
            let response = client.exchange(&format!("GET /v2/_catalog?n=10&last={last}"), &[AUTH]);
            let rest: Vec<_> = expected.iter().filter(|name| name.as_str() > "team/r0999").take(10).collect();
            assert_eq!(names(&response).iter().collect::<Vec<_>>(), rest, "{kind} {last}");
        }
        assert_eq!(names(&client.exchange("GET /v2/_catalog?last=zebra", &[AUTH])).len(), 0, "{kind}");
        assert_eq!(names(&client.exchange("GET /v2/_catalog?last=A", &[AUTH])), expected, "{kind}");
        assert!(
            !library.given().asked.concat().concat().contains("r0999"),
            "{kind}: the hidden name was sent to the registry"
        );
    }
}

#[test]
fn a_registry_that_repeats_a_page_is_not_asked_forever() {
    let all = shelf();
    let stuck = Library::start(all.clone(), |_, ask| Ok((ask.names[..1000].to_vec(), true)));
    let turn = Mutex::new(0);
    let circling = Library::start(all, move |_, ask| {
        let mut turn = turn.lock().unwrap();
        *turn = (*turn + 1) % 2;
        Ok((
            ask.names[*turn * 10..][..10].iter().filter(|name| name.ends_with("-shut")).cloned().collect(),
            true,
        ))
    });
    let empty = Library::start(Vec::new(), |_, _| Ok((Vec::new(), true)));
    for (kind, library, most) in [("stuck", stuck, 2), ("circling", circling, 1000), ("empty", empty, 1)] {
        let tidegate = Tidegate::start(settings(&library.fake.url()));
        let response = Client::connect(&tidegate).exchange("GET /v2/_catalog", &[AUTH]);
        assert_eq!((response.status, response.error_code().as_str()), (502, "UNAVAILABLE"), "{kind}");
        assert!(library.given().asked.len() <= most, "{kind}");
    }
}

#[test]
fn a_missing_catalog_is_passed_on_and_a_later_failure_is_a_bad_gateway() {
    for status in ["404 Not Found", "401 Unauthorized", "429 Too Many Requests"] {
        let library = Library::start(Vec::new(), |_, _| Err(status.to_owned()));
        let tidegate = Tidegate::start(settings(&library.fake.url()));
        let mut client = Client::connect(&tidegate);
        let response = client.exchange("GET /v2/_catalog", &[AUTH]);
        assert_eq!(
            (response.status.to_string().as_str(), response.error_code().as_str()),
            (&status[..3], "FROM_REGISTRY")
        );
        assert_eq!(response.all("x-registry"), ["yes"]);
        let head = client.exchange("HEAD /v2/_catalog", &[AUTH]);
        assert_eq!(head.all("content-length"), [response.body.len().to_string()]);
        assert_eq!(client.exchange("GET /v2/_catalog?n=0", &[AUTH]).status, 200);
    }
    let redirecting = Library::start(Vec::new(), |_, _| Err("307 Temporary Redirect".to_owned()));
    // The registry's message may contain a name: distribution says where it failed.
    let broken = Library::start(Vec::new(), |_, _| Err("500 Internal Server Error".to_owned()));
    let failing = Library::start(shelf(), |_, ask| match &ask.last {
        None => owned(ask.in_pages(100, 1000)),
        Some(_) => Err("500 Internal Server Error".to_owned()),
    });
    for library in [redirecting, broken, failing] {
        let tidegate = Tidegate::start(settings(&library.fake.url()));
        let response = Client::connect(&tidegate).exchange("GET /v2/_catalog", &[AUTH]);
        assert_eq!((response.status, response.error_code().as_str()), (502, "UNAVAILABLE"));
        assert!(response.all("x-registry").is_empty());
    }
}

#[test]
fn a_user_who_may_see_all_names_gets_the_registrys_own_answer() {
    let library = Library::in_pages(shelf());
    let tidegate = Tidegate::start(settings(&library.fake.url()));
    let admin = format!("Authorization: {}", basic("admin", PASSWORD));
    let response = Client::connect(&tidegate).exchange("GET /v2/_catalog?n=3", &[&admin]);
    assert_eq!(names(&response), ["team/r0000-shut", "team/r0001-shut", "team/r0002-shut"]);
    assert_eq!(next(&response).unwrap(), "/v2/_catalog?last=team/r0002-shut&n=9");
    assert_eq!(response.all("x-registry"), ["yes"]);
    assert_eq!(library.given().asked.len(), 1);
}

#[test]
fn a_disabled_catalog_is_refused_to_every_known_user() {
    let library = Library::in_pages(shelf());
    let tidegate = Tidegate::start(settings(&library.fake.url()).set("policy.catalog", r#""off""#));
    let mut client = Client::connect(&tidegate);
    let admin = format!("Authorization: {}", basic("admin", PASSWORD));
    for who in [AUTH, &admin] {
        let response = client.exchange("GET /v2/_catalog?n=x", &[who]);
        assert_eq!((response.status, response.error_code().as_str()), (405, "UNSUPPORTED"));
        assert_eq!(response.all("allow"), [""]);
    }
    assert_eq!(client.exchange("GET /v2/_catalog", &[]).status, 401);
    assert!(library.given().asked.is_empty());
}

/// A registry that delays every page after the first until the test continues.
fn patient() -> (Library, std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
    let ((begin, begun), (go, gone)) = (channel(), channel());
    let (begin, gone) = (Mutex::new(begin), Mutex::new(gone));
    let library = Library::start(shelf(), move |_, ask| {
        if ask.last.is_some() {
            let _ = begin.lock().unwrap().send(());
            let _ = gone.lock().unwrap().recv();
        }
        owned(ask.in_pages(100, 1000))
    });
    (library, begun, go)
}

#[test]
fn clients_do_not_time_out_while_the_registry_is_read() {
    let (library, begun, go) = patient();
    // Each page takes longer than the client's time limit, and all pages together take longer than
    // the registry's time limit for one answer.
    let settings = settings(&library.fake.url())
        .set("limits.handshake_timeout", r#""1s""#)
        .set("limits.header_timeout", r#""1s""#)
        .set("limits.idle_timeout", r#""1s""#)
        .set("upstream.read_timeout", r#""4s""#);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("GET /v2/_catalog?n=1000", &[AUTH]));
    for _ in 0..5 {
        begun.recv_timeout(DEADLINE).expect("the next page is asked for");
        // The end of an idle connection shows that the time limit has passed.
        Tls::connect(&tidegate, "http/1.1").receive_to_end();
        go.send(()).unwrap();
    }
    assert_eq!(names(&client.response(false).unwrap()).len(), 37);
}

#[test]
fn two_requests_read_the_registrys_catalog_at_once_and_others_wait() {
    const READERS: usize = 2;
    let (pairs, inside, most) = (Barrier::new(READERS), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let registry = Fake::start(move |conversation| {
        while conversation.read_head().is_some() {
            seen.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            pairs.wait();
            inside.fetch_sub(1, SeqCst);
            let body = r#"{"repositories":["team/a-open"]}"#;
            conversation
                .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let tidegate = Tidegate::start(settings(&registry.url()));
    std::thread::scope(|scope| {
        for _ in 0..3 * READERS {
            let tidegate = &tidegate;
            scope.spawn(move || {
                assert_eq!(follow(&mut Client::connect(tidegate), "/v2/_catalog"), [["team/a-open"]])
            });
        }
    });
    assert_eq!(most.load(SeqCst), READERS);
}

/// A registry that never answers whoever `is_stuck` by the head of the request, and gives others a
/// catalog of one page.
fn stuck_for(is_stuck: impl Fn(&str) -> bool + Send + Sync + 'static) -> (Fake, Receiver<()>) {
    let (begin, begun) = channel();
    let begin = Mutex::new(begin);
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if is_stuck(&head.join("\n").to_ascii_lowercase()) {
                _ = begin.lock().unwrap().send(());
                return conversation.wait_for_end();
            }
            let body = r#"{"repositories":["team/a-open"]}"#;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            conversation.write(format!("{head}{body}").as_bytes());
        }
    });
    (registry, begun)
}

#[test]
fn a_crowd_of_anonymous_clients_keeps_no_user_from_the_catalog() {
    const CROWD: usize = 60;
    let (registry, begun) = stuck_for(|head| !head.contains("authorization:"));
    let rules = "[[access]]\nusers = [\"anonymous\"]\nrepositories = [\"team/**\"]\nactions = [\"pull\"]\n";
    let tidegate = Tidegate::start(settings(&registry.url()).tables(rules).set("auth.mode", r#""token""#));
    let token = Client::connect(&tidegate).exchange("GET /auth/token", &[]).text();
    let token: Value = serde_json::from_str(&token).unwrap();
    let anonymous = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut client = Client::connect(&tidegate);
            client.send(http1::head("GET /v2/_catalog", &[&anonymous]));
            client
        })
        .collect();
    begun.recv_timeout(DEADLINE).expect("one of them is at the registry");
    for _ in 0..10 {
        assert_eq!(follow(&mut Client::connect(&tidegate), "/v2/_catalog"), [["team/a-open"]]);
    }
    assert!(begun.try_recv().is_err(), "a second anonymous client is at the registry");
    drop(crowd);
}

#[test]
fn a_user_with_the_whole_catalog_keeps_no_other_user_from_it() {
    let admin = format!("Authorization: {}", basic("admin", PASSWORD));
    let as_seen = basic("admin", "").to_ascii_lowercase();
    let (registry, begun) = stuck_for(move |head| head.contains(&as_seen));
    let tidegate = Tidegate::start(settings(&registry.url()));
    let mut crowd: Vec<_> = (0..70)
        .map(|_| {
            let mut client = Client::connect(&tidegate);
            client.send(http1::head("GET /v2/_catalog", &[&admin]));
            client
        })
        .collect();
    for _ in 0..2 {
        begun.recv_timeout(DEADLINE).expect("two are at the registry");
    }
    // 64 wait, so some are refused, and the user makes another one leave.
    let refused = |line: &str| line.contains("\"status\":429") && line.contains("too many requests at once");
    tidegate.access.wait_for("a refusal", refused);
    let mut user = Client::connect(&tidegate);
    user.send(http1::head("GET /v2/_catalog", &[AUTH]));
    assert!(begun.try_recv().is_err(), "a third one is at the registry");
    // Those at the registry leave their places to the user.
    crowd.clear();
    assert_eq!(names(&user.response(false).unwrap()), ["team/a-open"]);
}

#[test]
fn reading_stops_when_the_client_leaves() {
    let (begin, begun) = channel();
    let (end, ended) = channel();
    let (begin, end) = (Mutex::new(begin), Mutex::new(end));
    let library = Library::start(shelf(), move |conversation, ask| {
        if ask.last.is_some() {
            let _ = begin.lock().unwrap().send(());
            conversation.wait_for_end();
            let _ = end.lock().unwrap().send(());
        }
        owned(ask.in_pages(100, 1000))
    });
    let tidegate = Tidegate::start(settings(&library.fake.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head("GET /v2/_catalog?n=1000", &[AUTH, "User-Agent: leaver/1"]));
    begun.recv_timeout(DEADLINE).expect("the second page is asked for");
    drop(client);
    ended.recv_timeout(DEADLINE).expect("its connection ends");
    let line = tidegate.access.wait_for("its line", |line| line.contains("leaver/1"));
    assert!(line.contains(r#""status":499"#) && line.contains(r#""cut":"client""#), "{line}");
    assert_eq!(library.given().asked.len(), 2);
}

#[test]
fn the_pages_of_a_real_registry_are_followed_by_curl() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(
        settings(&registry.url())
            .tables("[[access]]\nusers = [\"admin\"]\nrepositories = [\"**\"]\nactions = [\"*\"]\n"),
    );
    let admin = format!("Authorization: {}", basic("admin", PASSWORD));
    let mut client = Client::connect(&tidegate);
    let mut expected = Vec::new();
    for name in ["a-open", "b", "c-open", "d-open", "e/f-open", "g-open", "other"] {
        push_tiny(&mut client, &admin, &format!("team/{name}"), "v1");
        if name.ends_with("-open") && !name.contains('/') {
            expected.push(format!("team/{name}"));
        }
    }
    let ca = tidegate.settings.path().join("ca.crt");
    let (mut found, mut target) = (Vec::new(), Some("/v2/_catalog?n=2".to_owned()));
    while let Some(here) = target.take() {
        let said = tools::curl(
            &ca,
            &["--include", "--http1.1", &format!("https://{}{here}", tidegate.host())],
            None,
        );
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        found.extend(
            body["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()),
        );
        let link = head.lines().find_map(|line| line.strip_prefix("Link: <"));
        target = link.map(|link| link.split_once(">; rel=\"next\"").unwrap().0.to_owned());
    }
    assert_eq!(found, expected);
    let all = client.exchange("GET /v2/_catalog", &[&admin]);
    assert_eq!(names(&all).len(), 7);
}
