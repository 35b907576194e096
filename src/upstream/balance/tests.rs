use std::collections::HashMap;
use std::time::Duration;

use super::super::endpoint::Address;
use super::super::health::{FaultKind, UpstreamFault};
use super::*;
use crate::config::{Config, ServerAddress};
use crate::pki::SystemRoots;

/// A registry with these settings, and a server on each of these ports.
fn registry(settings: &str, ports: &[u16]) -> Arc<Registry> {
    let servers: Vec<_> = ports.iter().map(|port| format!("'http://127.0.0.1:{port}'")).collect();
    let text = format!(
        "[tls]\ncertificate = 'c'\nkey = 'k'\n[upstream]\nservers = [{}]\n{settings}\n",
        servers.join(", ")
    );
    let config = Config::parse("proxy.toml".as_ref(), &text, &[]).unwrap();
    Arc::new(Registry::build("upstream", &config.upstream, &SystemRoots::default(), &[], 2).unwrap())
}

fn port(pick: &Pick<'_>) -> u16 {
    pick.endpoint.address.ip().unwrap().port()
}

fn down(registry: &Registry, server: usize, kind: FaultKind) {
    let fault = UpstreamFault { brief: String::new(), detail: String::new(), kind };
    registry.servers[server].endpoints()[0].health.unreachable(fault);
}

fn picks(registry: &Arc<Registry>, repository: Option<&str>, count: usize) -> Vec<u16> {
    let to = Destination::of_repository(registry, repository);
    (0..count).map(|turn| port(&to.pick(turn, &[]).unwrap())).collect()
}

#[test]
fn in_turns_each_server_gets_the_same() {
    let registry = registry("balance = 'round-robin'", &[1, 2, 3]);
    let picked = picks(&registry, Some("a"), 6);
    assert_eq!(picked[..3], picked[3..]);
    let mut all = picked[..3].to_vec();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
}

#[test]
fn the_server_with_the_fewest_requests_is_next() {
    let registry = registry("", &[1, 2]);
    registry.servers[0].endpoints()[0].count(0, Usage::Active, 2);
    registry.servers[1].endpoints()[0].count(1, Usage::Active, 1);
    assert_eq!(picks(&registry, None, 4), [2; 4]);
    registry.servers[1].endpoints()[0].count(1, Usage::Active, 2);
    assert_eq!(picks(&registry, None, 4), [1; 4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_down_is_left_out_and_the_last_one_is_not() {
    let registry = registry("", &[1, 2]);
    let to = Destination::of_repository(&registry, None);
    down(&registry, 0, FaultKind::Refused);
    assert_eq!(picks(&registry, None, 4), [2; 4]);
    tokio::time::advance(Duration::from_secs(1)).await;
    down(&registry, 1, FaultKind::Refused);
    let last = to.pick(0, &[]).unwrap();
    assert_eq!((port(&last), last.is_down), (2, true));
    assert!(to.pick(0, &[last.endpoint]).is_none(), "only one is tried");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_servers_that_say_nothing() {
    let registry = registry("", &[1, 2]);
    let to = Destination::of_repository(&registry, None);
    down(&registry, 0, FaultKind::Silent);
    down(&registry, 1, FaultKind::Silent);
    assert!(to.pick(0, &[]).is_none());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(to.pick(0, &[]).is_some(), "one request may see whether it is back");
}

#[tokio::test(start_paused = true)]
async fn a_lone_server_is_always_tried() {
    let registry = registry("", &[1]);
    for kind in [FaultKind::Silent, FaultKind::Refused] {
        down(&registry, 0, kind);
        assert!(Destination::of_repository(&registry, None).pick(0, &[]).is_some(), "{kind:?}");
    }
}

#[test]
fn a_repository_belongs_to_one_server_and_moves_only_with_it() {
    let (three, four) =
        (registry("balance = 'hash'", &[1, 2, 3]), registry("balance = 'hash'", &[3, 4, 1, 2]));
    let mut shares = HashMap::new();
    for number in 0..300 {
        let repository = format!("team/app-{number}");
        let of_three = picks(&three, Some(&repository), 3);
        assert_eq!(of_three, [of_three[0]; 3]);
        let of_four = picks(&four, Some(&repository), 1)[0];
        assert!(of_four == of_three[0] || of_four == 4, "{repository}");
        *shares.entry(of_four).or_insert(0) += 1;
    }
    assert!(shares.values().all(|share| *share > 30), "{shares:?}");
}

#[test]
fn only_with_shared_storage_another_server_has_the_repository_too() {
    for (shared, expected) in [("false", None), ("true", Some(()))] {
        let registry = registry(&format!("balance = 'hash'\nshared_storage = {shared}"), &[1, 2]);
        assert_eq!(registry.is_parted(), shared == "false");
        let to = Destination::of_repository(&registry, Some("team/app"));
        let first = to.pick(0, &[]).unwrap();
        let other = to.pick(0, std::slice::from_ref(&first.endpoint));
        assert_eq!(other.map(|other| assert_ne!(port(&other), port(&first))), expected);
    }
}

#[test]
fn addresses_of_a_name_are_shared_out_and_those_that_stay_keep_what_is_known() {
    let name = ServerAddress::Tcp { host: "registry".to_owned(), port: 5000, tls: false };
    let server = Server::new(&name, None, 10, 1);
    assert!(server.endpoints().is_empty());
    let found = |last: &[u8]| Ok(last.iter().map(|last| ([10, 0, 0, *last], 5000).into()).collect());
    server.looked_up(found(&[2, 1, 2]));
    let before: Vec<_> = server.endpoints().to_vec();
    assert_eq!(before.len(), 2);
    server.looked_up(found(&[3, 2]));
    let after: Vec<_> = server.endpoints().to_vec();
    assert!(before[0].is_gone() && !before[1].is_gone());
    assert!(Arc::ptr_eq(&before[1], &after[0]));
    assert_eq!(after[1].address, Address::Tcp(([10, 0, 0, 3], 5000).into()));
    for nothing in [found(&[]), Err(std::io::ErrorKind::TimedOut.into())] {
        server.looked_up(nothing);
        assert_eq!(server.endpoints().len(), 2, "a failed look-up changes nothing");
    }
    assert_eq!(server.counts.resolve_failures.get(), 2);
}

/// A registry of one name with these addresses, which has looked them up.
fn named(settings: &str, addresses: &[&str], known: &[Arc<Server>]) -> Arc<Registry> {
    let text = format!(
        "[tls]\ncertificate = 'c'\nkey = 'k'\n[upstream]\nservers = ['http://registry.test:5000']\n{settings}\n"
    );
    let config = Config::parse("proxy.toml".as_ref(), &text, &[]).unwrap();
    let registry = Registry::build("upstream", &config.upstream, &SystemRoots::default(), known, 2).unwrap();
    if !addresses.is_empty() {
        let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
        registry.servers[0].looked_up(Ok(found));
    }
    Arc::new(registry)
}

#[test]
fn the_addresses_of_one_machine_are_all_tried_when_all_are_down() {
    let registry = named("", &["192.0.2.1:5000", "[2001:db8::1]:5000"], &[]);
    let fault = |kind| UpstreamFault { brief: String::new(), detail: String::new(), kind };
    for kind in [FaultKind::Refused, FaultKind::Silent] {
        for endpoint in registry.servers[0].endpoints().iter() {
            endpoint.health.unreachable(fault(kind));
        }
        let to = Destination::of_repository(&registry, None);
        let mut tried = Vec::new();
        while let Some(pick) = to.pick(0, &tried) {
            assert!(pick.is_down, "{kind:?}");
            assert!(tried.len() < 2, "{kind:?}: one is tried again");
            tried.push(pick.endpoint);
        }
        assert_eq!(tried.len(), 2, "{kind:?}");
    }
}

#[test]
fn former_addresses_without_a_connection_are_forgotten() {
    let registry = named("", &["192.0.2.1:5000"], &[]);
    let first = Arc::downgrade(&registry.servers[0].endpoints()[0]);
    for last in 2..5 {
        registry.servers[0].looked_up(Ok(vec![([192, 0, 2, last], 5000).into()]));
    }
    assert!(first.upgrade().is_none(), "a name that changes often uses more and more memory");
}

#[test]
fn a_server_whose_settings_change_keeps_its_addresses_until_a_look_up_succeeds() {
    let before = named("", &["192.0.2.1:5000"], &[]);
    let after = named("connections = 7", &[], &before.servers);
    let (before, after) = (&before.servers[0], &after.servers[0]);
    assert!(!Arc::ptr_eq(before, after));
    let addresses = |server: &Server| {
        server.endpoints().iter().map(|endpoint| endpoint.address.clone()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(after), addresses(before));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_found_meanwhile_is_not_waited_for() {
    let registry = named("", &["192.0.2.1:5000"], &[]);
    let begun = Instant::now();
    registry.servers[0].first_address(begun + Duration::from_secs(5)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_server_whose_name_has_no_address_is_down_and_says_why() {
    let name = ServerAddress::Tcp { host: "registry".to_owned(), port: 5000, tls: false };
    let server = Server::new(&name, None, 10, 1);
    assert_eq!(server.standing(), None, "nobody has looked yet");
    server.looked_up(Err(std::io::Error::other("no such name")));
    let first = server.standing().unwrap();
    let brief = first.fault.map(|fault| fault.brief);
    assert_eq!((first.up, brief.as_deref()), (false, Some("cannot resolve the name: no such name")));
    server.looked_up(Ok(Vec::new()));
    assert_eq!(server.standing().unwrap().since, first.since, "it has been so since then");
    server.looked_up(Ok(vec![([10, 0, 0, 1], 5000).into()]));
    assert_eq!(server.standing(), None, "the address was not asked yet");
}
