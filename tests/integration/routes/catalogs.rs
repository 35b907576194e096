//! The catalog of a host with several registries.

use serde_json::Value;

use super::{AUTH, Scripted, ask, ask_as};
use crate::harness::fake;
use crate::harness::http1::Response;
use crate::harness::library::Library;
use crate::harness::tidegate::{Settings, Tidegate};

fn names(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200, "{}", response.text());
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Sorts as distribution does.
fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_key(|name| name.replace('/', "\0"));
    names
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A registry with these names, in distribution's order and pages.
fn library(names: &[&str]) -> Library {
    Library::start(sorted(texts(names)), |_, ask| {
        let key = |name: &String| name.replace('/', "\0");
        let last = ask.last.as_ref().map(key);
        let from = last.map_or(0, |last| ask.names.partition_point(|name| key(name) <= last));
        let rest = &ask.names[from..];
        let n = ask.n.unwrap_or(100).min(2);
        Ok((rest[..n.min(rest.len())].to_vec(), rest.len() > n))
    })
}

fn hub(url: &str) -> String {
    format!("[[route]]\nrepositories = [\"hub/**\"]\nstrip = \"hub/\"\nservers = [{url:?}]\n")
}

/// The whole catalog, page by page, as clients follow the links.
fn walk(tidegate: &Tidegate, n: usize) -> Vec<String> {
    let (mut all, mut target) = (Vec::new(), format!("/v2/_catalog?n={n}"));
    loop {
        let page = ask(tidegate, &format!("GET {target}"));
        let found = names(&page);
        assert!(found.len() <= n);
        all.extend(found);
        let Some(link) = page.all("link").first().map(|link| (*link).to_owned()) else { return all };
        target = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
        assert!(!all.is_empty() && all.len() < 100, "{all:?}");
    }
}

#[test]
fn the_catalogs_of_all_registries_are_one_list_in_the_order_of_distribution() {
    let usual = library(&["a", "a/z", "a-b", "hub/shadowed", "hub", "hub-x", "z"]);
    let mirror = library(&["b", "library/x", "library-x", "m/n/o"]);
    let tidegate =
        Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&hub(&mirror.fake.url())));
    let expected =
        ["a", "a/z", "a-b", "hub", "hub/b", "hub/library/x", "hub/library-x", "hub/m/n/o", "hub-x", "z"];
    for n in [1, 2, 3, 5, 9, 10, 50] {
        assert_eq!(walk(&tidegate, n), expected, "{n}");
    }
    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog")), expected);
    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog?n=0")), [""; 0]);
    // `last` need not exist.
    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog?n=2&last=hub/c")), ["hub/library/x", "hub/library-x"]);
    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog?last=hub/zz")), ["hub-x", "z"]);
    let asked = mirror.given().asked.concat().join("\n");
    assert!(!asked.contains("hub"), "{asked}");
}

#[test]
fn three_registries_with_the_same_names_are_one_list_at_every_page() {
    let usual = library(&["a", "a/b", "hub-x/a", "hub.x", "old/a", "old/b/c", "old", "olda", "same"]);
    let hub_registry = library(&["a", "old/a", "same", "a-b/c", "a.b", "hub/a"]);
    let old = library(&["old/a", "old/b-c", "old", "same", "hub/same"]);
    let more = format!("[[route]]\nrepositories = [\"old/**\"]\nservers = [{:?}]\n", old.fake.url());
    let tables = hub(&hub_registry.fake.url()) + &more;
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&tables));
    let expected = sorted(texts(&[
        "a",
        "a/b",
        "hub-x/a",
        "hub.x",
        "old",
        "olda",
        "same",
        "hub/a",
        "hub/old/a",
        "hub/same",
        "hub/a-b/c",
        "hub/a.b",
        "hub/hub/a",
        "old/a",
        "old/b-c",
    ]));
    for n in 1..=expected.len() + 1 {
        assert_eq!(walk(&tidegate, n), expected, "{n}");
    }
    for (at, last) in expected.iter().enumerate() {
        for last in [last.clone(), format!("{last}.")] {
            let after = names(&ask(&tidegate, &format!("GET /v2/_catalog?last={last}")));
            let key = last.replace('/', "\0");
            let wanted: Vec<_> =
                expected.iter().filter(|name| name.replace('/', "\0") > key).cloned().collect();
            assert_eq!(after, wanted, "{at} {last}");
        }
    }
}

#[test]
fn a_registry_with_another_order_loses_no_name() {
    // Sorted by bytes: `a-b` comes before `a/z`.
    let usual = Library::start(texts(&["a", "a-b", "a/z", "b"]), |_, ask| {
        let (names, more) = ask.in_pages(100, 1000)?;
        Ok((names.to_vec(), more))
    });
    let mirror = library(&["c"]);
    let tidegate =
        Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&hub(&mirror.fake.url())));
    for n in [1, 2, 3, 4, 5] {
        assert_eq!(walk(&tidegate, n), ["a", "a/z", "a-b", "b", "hub/c"], "{n}");
    }
}

#[test]
fn each_caller_sees_the_outer_names_that_the_rules_allow() {
    let usual = library(&["open/a", "shut/a"]);
    let mirror = library(&["open/a", "shut/a"]);
    let rules = "[[access]]\nusers = [\"testuser\"]\nrepositories = [\"hub/open/**\", \"shut/*\"]\nactions = [\"pull\"]\n";
    let settings = Settings::for_upstream(&usual.fake.url()).tables(&hub(&mirror.fake.url())).tables(rules);
    let tidegate = Tidegate::start(settings);
    assert_eq!(walk(&tidegate, 1), ["hub/open/a", "shut/a"]);
}

#[test]
fn a_registry_without_a_catalog_is_left_out_and_one_that_fails_is_not() {
    for (status, expected) in [
        ("404 Not Found", 200),
        ("401 Unauthorized", 200),
        ("405 Method Not Allowed", 200),
        ("429 Too Many Requests", 429),
        ("503 Service Unavailable", 502),
    ] {
        let usual = library(&["a"]);
        let mirror = Scripted::start(move |_, _| (status, Vec::new(), String::new()));
        let tidegate =
            Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&hub(&mirror.fake.url())));
        let catalog = ask(&tidegate, "GET /v2/_catalog");
        assert_eq!(catalog.status, expected, "{status}");
        if expected == 200 {
            assert_eq!(names(&catalog), ["a"]);
            tidegate
                .access
                .wait_for("why", |line| line.contains("has no catalog; its repositories are left out"));
        }
    }
    let usual = library(&["a"]);
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&hub(&fake::refusing())));
    assert_eq!(ask(&tidegate, "GET /v2/_catalog").status, 502);
}

#[test]
fn a_host_with_one_registry_has_the_catalog_of_that_one() {
    let (usual, other) = (library(&["a"]), library(&["b"]));
    let tables = format!("[[route]]\nhosts = [\"other.test\"]\nservers = [{:?}]\n", other.fake.url());
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.fake.url()).tables(&tables));
    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog")), ["a"]);
    assert_eq!(names(&ask_as(&tidegate, "other.test", AUTH, "GET /v2/_catalog")), ["b"]);
}

#[test]
fn the_catalogs_of_servers_with_repositories_of_their_own_are_one_list() {
    let [one, other] = [&["a", "b", "c", "d"][..], &["a", "b", "c", "d", "e/f"]].map(library);
    let servers = format!("[{:?}, {:?}]", one.fake.url(), other.fake.url());
    let settings = Settings::for_upstream("").set("upstream.servers", &servers);
    let tidegate = Tidegate::start(settings.set("upstream.balance", r#""hash""#));
    // Each has all names, and each name belongs to one of them.
    let found = walk(&tidegate, 2);
    assert_eq!(found[..4], ["a", "b", "c", "d"]);
    for library in [&one, &other] {
        assert!(!library.given().asked.is_empty());
    }
    let third = Scripted::start(|_, _| ("503 Service Unavailable", Vec::new(), String::new()));
    let servers = format!("[{:?}, {:?}]", one.fake.url(), third.fake.url());
    let settings = Settings::for_upstream("").set("upstream.servers", &servers);
    let tidegate = Tidegate::start(settings.set("upstream.balance", r#""hash""#));
    assert_eq!(ask(&tidegate, "GET /v2/_catalog").status, 502);
}
