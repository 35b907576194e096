//! Wrong passwords: fewer reach the directory than it forgives.

use super::*;

#[test]
fn a_flood_from_everywhere_locks_nobody_in_the_directory() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    assert_eq!(login_from(&tidegate, "192.0.2.200", ALICE), 200);
    let mut answers = std::collections::BTreeMap::new();
    for number in 0..100 {
        let address = format!("192.0.2.{}", number % 20);
        let status = login_from(&tidegate, &address, ("alice", &format!("wrong-{number}")));
        *answers.entry(status).or_insert(0) += 1;
        assert_eq!(login_from(&tidegate, "192.0.2.200", ALICE), 200, "who is remembered stays in");
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [(401, 4), (429, 96)]);
    assert_eq!(slapd.binds("uid=alice"), 5);
    let later = ask(&tidegate, "GET /v2/", ("alice", "another"), &["X-Forwarded-For: 192.0.2.201"]);
    assert_eq!(later.status, 429);
    assert!((1..=900).contains(&later.all("retry-after")[0].parse::<u32>().unwrap()));
    assert_eq!(login_from(&tidegate, "192.0.2.201", BOB), 200);

    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    assert_eq!(login(&tidegate, ALICE).status, 200, "the directory has not locked her");
}

#[test]
fn a_flood_for_the_search_account_stops_nobody() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    for number in 0..100 {
        let address = format!("192.0.2.{}", number % 20);
        let status = login_from(&tidegate, &address, ("door", &format!("wrong-{number}")));
        assert!(matches!(status, 401 | 429), "{status}");
    }
    assert_eq!(login_from(&tidegate, "192.0.2.100", ALICE), 200);
    slapd.change("dn: uid=alice,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: cn\ncn: A\n");
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    assert_eq!(login(&tidegate, BOB).status, 200, "it can still log in to search");
}
