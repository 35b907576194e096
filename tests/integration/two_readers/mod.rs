//! A hundred thousand requests, most of them almost valid. The registry reads every forwarded
//! request as tidegate judged it, and every valid and allowed request is forwarded.

mod requests;
mod router;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{PASSWORD, USER, basic};

use requests::Dice;

const REQUESTS: usize = 100_000;
const CLIENTS: usize = 4;
/// The number of requests sent before their answers are read.
const BATCH: usize = 50;

const RULES: &str = r#"
[groups]
team = ["alice", "bob"]

[[access]]
users = ["anonymous"]
repositories = ["public/**"]
actions = ["pull"]

[[access]]
users = ["*"]
repositories = ["team/**", "manifests"]
actions = ["pull"]

[[access]]
users = ["@team"]
repositories = ["team/**"]
actions = ["push"]

[[access]]
users = ["alice"]
repositories = ["team/*"]
actions = ["delete"]

[[access]]
users = ["*"]
repositories = ["${user}/**"]
actions = ["pull", "push"]
"#;

/// An independent implementation of the same rules.
fn may(user: &str, action: &str, repository: &str) -> bool {
    let known = !user.is_empty();
    let (home, rest) = repository.split_once('/').unwrap_or((repository, ""));
    match action {
        "pull" => {
            home == "public" || (known && (home == "team" || repository == "manifests" || home == user))
        }
        "push" => known && (home == user || (home == "team" && ["alice", "bob"].contains(&user))),
        "delete" => user == "alice" && home == "team" && !rest.is_empty() && !rest.contains('/'),
        _ => false,
    }
}

/// A request, its user and the status of its answer.
struct Sent {
    user: &'static str,
    method: &'static str,
    target: String,
    status: u16,
}

/// The request as the registry received it.
#[derive(Clone, Debug)]
struct Arrived {
    method: String,
    target: String,
}

type Arrivals = Arc<Mutex<HashMap<usize, Vec<Arrived>>>>;

#[test]
fn no_request_is_forwarded_that_the_registry_reads_differently() {
    let arrivals = Arrivals::default();
    let registry = registry(arrivals.clone());
    let settings = Settings::for_upstream(&registry.url()).set("log.access", r#""off""#).tables(RULES);
    settings.write_users(&[("alice", PASSWORD), ("bob", PASSWORD), (USER, PASSWORD)]);
    let tidegate = Tidegate::start(settings);
    let sent: Vec<Sent> = std::thread::scope(|scope| {
        let tidegate = &tidegate;
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || send(tidegate, client))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let arrivals = arrivals.lock().unwrap();
    let judged = sent.iter().enumerate().map(|(case, sent)| (sent, judge(sent, arrivals.get(&case))));
    let faults: Vec<String> = judged
        .filter_map(|(sent, verdict)| {
            let fault = verdict.err()?;
            Some(format!("{} {} by {:?} got {}: {fault}", sent.method, sent.target, sent.user, sent.status))
        })
        .collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults[..faults.len().min(20)].join("\n"));
    for status in [200, 400, 401, 403, 404, 405] {
        let count = sent.iter().filter(|sent| sent.status == status).count();
        assert!(count > REQUESTS / 200, "only {count} requests were answered {status}");
    }
}

/// Answers everything and records the requests by the number in their `X-Case` field.
fn registry(arrivals: Arrivals) -> Fake {
    Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            let mut words = head[0].split(' ').map(str::to_owned);
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let body = if method == "HEAD" { "" } else { r#"{"repositories":[]}"# };
            let number =
                head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("x-case: ")?.parse().ok());
            if let Some(number) = number {
                arrivals.lock().unwrap().entry(number).or_default().push(Arrived { method, target });
            }
            conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{body}").as_bytes());
        }
    })
}

/// Sends one client's share, in batches.
fn send(tidegate: &Tidegate, client: usize) -> Vec<Sent> {
    let share = REQUESTS / CLIENTS;
    let mut dice = Dice(0x7469_6465 + client as u64);
    let user = || ["", "alice", "bob", USER];
    let mut all: Vec<Sent> = (0..share)
        .map(|_| {
            let requests::Request { method, target } = requests::request(&mut dice);
            Sent { user: dice.pick(&user()), method, target, status: 0 }
        })
        .collect();
    let mut connection = Client::connect(tidegate);
    let mut at = 0;
    while at < share {
        let doubtful = |sent: &Sent| ends_connection(&sent.target);
        let batch = all[at..share.min(at + BATCH)].iter();
        let end = at + batch.clone().position(doubtful).map_or(batch.len(), |last| last + 1);
        let text: String = (at..end).map(|case| head(&all[case], client * share + case)).collect();
        connection.send(text);
        while at < end {
            let sent = &mut all[at];
            let response = connection.response(sent.method == "HEAD").unwrap();
            sent.status = response.status;
            at += 1;
            if response.all("Connection") == ["close"] {
                assert_eq!(at, end, "{} {} ends the connection", sent.method, sent.target);
                connection = Client::connect(tidegate);
            }
        }
    }
    all
}

fn head(sent: &Sent, case: usize) -> String {
    let mut fields = vec![format!("X-Case: {case}")];
    if !sent.user.is_empty() {
        fields.push(format!("Authorization: {}", basic(sent.user, PASSWORD)));
    }
    if ["POST", "PUT", "PATCH"].contains(&sent.method) {
        fields.push("Content-Length: 0".to_owned());
    }
    http1::head(
        &format!("{} {}", sent.method, sent.target),
        &fields.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

/// Whether the connection may end with the answer, so that no request can follow.
fn ends_connection(target: &str) -> bool {
    let target = target.to_ascii_lowercase();
    let is_escape = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    ["//", "/.", "%2e", "%2f", "%5c", "%0", ";"].iter().any(|doubt| target.contains(doubt))
        || !target.starts_with('/')
        || !target.split('%').skip(1).all(is_escape)
}

fn judge(sent: &Sent, arrived: Option<&Vec<Arrived>>) -> Result<(), String> {
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let reading = router::read(path).filter(router::fits_specification);
    let needs = reading.as_ref().and_then(|reading| router::needs(reading.route, sent.method));
    let in_doubt =
        path.to_ascii_lowercase().contains("%2f") || (sent.method == "POST" && query.contains(';'));
    let expected: &[u16] = match (&reading, needs) {
        _ if router::is_base_without_slash(path) => &[301, 400],
        (Some(_), _) if in_doubt => &[400, 401, 403, 405],
        (Some(reading), Some(needs)) => {
            let allowed = needs.iter().all(|need| may(sent.user, need, &reading.repository));
            if sent.user.is_empty() && (needs.is_empty() || !allowed) {
                &[401]
            } else if allowed {
                &[200]
            } else {
                &[403]
            }
        }
        (Some(_), None) if !sent.user.is_empty() => &[405],
        _ if sent.user.is_empty() => &[400, 401, 404],
        _ => &[400, 404],
    };
    if !expected.contains(&sent.status) {
        return Err(format!("expected {expected:?} of {reading:?}"));
    }
    let arrived = match arrived.map(Vec::as_slice) {
        None if sent.status != 200 => return Ok(()),
        // The registry's own catalog may be read with other requests.
        None if reading.as_ref().is_some_and(|reading| reading.route == "catalog") => return Ok(()),
        Some([one]) if sent.status == 200 => one,
        other => return Err(format!("the registry saw {other:?}")),
    };
    let (onward, onward_query) = arrived.target.split_once('?').unwrap_or((&arrived.target, ""));
    if router::read(onward) != reading || arrived.method != sent.method || onward.contains('%') {
        return Err(format!("it became {arrived:?}"));
    }
    if sent.method != "POST" {
        return if onward_query == query {
            Ok(())
        } else {
            Err(format!("the query became {onward_query:?}"))
        };
    }
    mount(sent.user, query, onward_query)
}

/// A mount is forwarded unchanged if all readers find it there once and the user may pull from its
/// repository. Otherwise no part of it is.
fn mount(user: &str, sent: &str, onward: &str) -> Result<(), String> {
    let found = |query: &str, old| (router::values(query, "mount", old), router::values(query, "from", old));
    for old in [false, true] {
        match found(onward, old) {
            (mounts, sources) if mounts.is_empty() && sources.is_empty() => {}
            (mounts, sources)
                if mounts.len() == 1 && sources.len() == 1 && may(user, "pull", &sources[0]) => {}
            other => return Err(format!("the registry reads {other:?}")),
        }
    }
    let (mounts, sources) = found(sent, false);
    let is_digest = |text: &String| text.len() == 71 && text.starts_with("sha256:");
    let allowed = mounts.len() == 1
        && sources.len() == 1
        && mounts.iter().all(is_digest)
        && sources.iter().all(|source| is_name(source) && may(user, "pull", source));
    let others = |query: &str| {
        let others = query.split('&').filter(|one| {
            router::values(one, "mount", false).is_empty() && router::values(one, "from", false).is_empty()
        });
        others.map(str::to_owned).collect::<Vec<_>>().join("&")
    };
    let expected =
        if allowed || (mounts.is_empty() && sources.is_empty()) { sent.to_owned() } else { others(sent) };
    if onward == expected { Ok(()) } else { Err(format!("the query became {onward:?}")) }
}

fn is_name(repository: &str) -> bool {
    let reading = router::read(&format!("/v2/{repository}/tags/list"));
    reading.is_some_and(|reading| reading.repository == repository && router::fits_specification(&reading))
}
