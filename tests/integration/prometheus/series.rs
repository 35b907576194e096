//! No client can add a series.

use super::exposition::{series, text};
use crate::harness::admin;
use crate::harness::basic;
use crate::harness::http1::Client;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;

/// Asks twice for a repository, by a user, from an address, with an agent and a tag that nobody
/// else has, the second time with a method of its own. That one ends the connection.
fn invent(tidegate: &Tidegate, number: usize) {
    let user = format!("Authorization: {}", basic(&format!("user{number}"), "guess"));
    let address = format!("X-Forwarded-For: 10.{}.{}.1", number / 250, number % 250);
    let agent = format!("User-Agent: invented/{number}");
    let mut client = Client::connect(tidegate);
    for method in ["GET".to_owned(), format!("INVENTED{number}")] {
        let line = format!("{method} /v2/team/invented{number}/manifests/tag{number}");
        let answer = client.exchange(&line, &[&user, &address, &agent]);
        assert!((400..500).contains(&answer.status), "{line}: {answer:?}");
    }
}

#[test]
fn ten_thousand_invented_names_add_no_series() {
    const THREADS: usize = 4;
    const EACH: usize = 2500;
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("metrics.repositories", r#"["team/**", "public"]"#);
    let tidegate = Tidegate::start(settings);
    let before = series(&tidegate);
    assert!(before.iter().any(|series| series.contains(r#"repository="team/**""#)), "{before:?}");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let tidegate = &tidegate;
            scope.spawn(move || {
                (thread * EACH..(thread + 1) * EACH).for_each(|number| invent(tidegate, number))
            });
        }
    });
    let after = series(&tidegate);
    assert_eq!(after.symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    let judged: f64 = text(&tidegate)
        .lines()
        .filter(|line| line.starts_with("tidegate_requests_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert_eq!(judged, (2 * THREADS * EACH) as f64);
}
