//! No client can add a series.

use super::exposition::{series, text};
use crate::harness::admin;
use crate::harness::basic;
use crate::harness::http2::{Client, request};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;

/// Asks twice for a repository, by a user, from an address, with an agent and a tag that nobody
/// else has, the second time with a method of its own.
fn invent(client: &mut Client, number: usize) {
    let user = format!("authorization: {}", basic(&format!("user{number}"), "guess"));
    let address = format!("x-forwarded-for: 10.{}.{}.1", number / 250, number % 250);
    let agent = format!("user-agent: invented/{number}");
    let path = format!("/v2/team/invented{number}/manifests/tag{number}");
    let asked = ["GET".to_owned(), format!("INVENTED{number}")]
        .map(|method| client.send(request(&method, "localhost", &path, &[&user, &address, &agent]), true).0);
    for response in asked {
        let status = client.head(response).unwrap().status().as_u16();
        assert!((400..500).contains(&status), "{path}: {status}");
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
                let mut client = Client::connect(tidegate);
                (thread * EACH..(thread + 1) * EACH).for_each(|number| invent(&mut client, number));
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
