use std::process::Command;

use super::fixtures::*;
use super::lookup::{NO_ENTRY, TWO_ENTRIES};
use super::*;
use crate::config::LdapServer;
use crate::ldap::Filter;
use crate::pki::fixtures::set_mode;

mod failing;
mod grouped;
mod remembered;
mod told;

const WRONG: Judgement = Judgement::Wrong("wrong password");

#[tokio::test]
async fn people_log_in_over_each_kind_of_connection() {
    let slapd = Slapd::start();
    for server in [slapd.socket(), slapd.start_tls(), slapd.tls()] {
        let ldap = ldap(&slapd.settings(vec![server.clone()]), &[]);
        assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()), "{server}");
        assert_eq!(login(&ldap, "alice", "Alice-password").await, Err(WRONG), "{server}");
    }
    let encrypted = slapd.log(&["TLS established"]).len();
    assert_eq!(encrypted, 4, "a connection that searches and one that binds, for two of the servers");
    assert_eq!(slapd.log(&["STARTTLS"]).len(), 2);
}

#[tokio::test]
async fn an_empty_password_is_never_sent() {
    let slapd = Slapd::start();
    let ldap = ldap(
        &config::Ldap { bind_dn: None, bind_password: None, ..slapd.settings(vec![slapd.socket()]) },
        &[],
    );
    for password in ["", "\0", "alice-password\0"] {
        assert!(matches!(login(&ldap, "alice", password).await, Err(Judgement::Wrong(_))), "{password:?}");
    }
    assert_eq!(slapd.log(&[" BIND "]), [""; 0]);
}

#[tokio::test]
async fn filter_injection_finds_nobody() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &["developers"]);
    for name in [
        "*",
        "a*",
        "alice)(uid=*",
        "*)(objectClass=*",
        "\\2a",
        "alice\\00",
        "alice\0",
        "(",
        ")",
        "\\",
        "x)(|(uid=*",
    ] {
        assert_eq!(login(&ldap, name, "alice-password").await, Err(Judgement::Wrong(NO_ENTRY)), "{name:?}");
    }
    assert_eq!(slapd.binds("uid="), 0);
    // Such a name belongs to whoever has it, also within the filter for groups.
    let Judgement::Right(person) = ldap.judge(attempt("a*b\\(c)", "odd-password")).await else { panic!() };
    assert_eq!(person.user.as_str(), Some("a*b\\(c)"));
    assert!(person.groups.contains("ldap:developers"));
}

#[tokio::test]
async fn the_search_account_cannot_be_locked_through_tidegate() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    let other = config::Ldap { bind_dn: Some("CN=Door , DC=example, dc=ORG".to_owned()), ..settings.clone() };
    for settings in [settings, other] {
        let ldap = ldap(&settings, &[]);
        for number in 0..100 {
            let judged = login(&ldap, "door", &format!("wrong-{number}")).await;
            assert_eq!(judged, Err(Judgement::Wrong("it is the account that searches")));
        }
        let judged = login(&ldap, "door", "door-password").await;
        assert_eq!(judged, Err(Judgement::Wrong("it is the account that searches")));
        assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()));
    }
    let own = slapd
        .log(&[" BIND ", "method=128"])
        .iter()
        .filter(|line| line.to_lowercase().contains("door"))
        .count();
    assert_eq!(own, 2, "its own logins alone, one for each of the settings");
}

#[tokio::test]
async fn many_spellings_are_one_person() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    let people = ldap(&settings, &[]);
    let spellings = ["alice", "ALICE", " alice ", "\u{ff41}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"];
    let mut bindings = BTreeSet::new();
    for name in spellings {
        let Judgement::Right(person) = people.judge(attempt(name, "alice-password")).await else {
            panic!("{name}")
        };
        assert_eq!(person.user.as_str(), Some("alice"), "{name}");
        bindings.insert(person.binding);
    }
    assert_eq!(bindings.len(), 1);

    // They are one account of the throttle by network, and one of the throttle by person.
    let by_network = throttle(2);
    for name in &spellings[1..3] {
        assert_eq!(people.judge(attempt_from(1, &by_network, name, "wrong")).await, WRONG);
    }
    let judged = people.judge(attempt_from(1, &by_network, spellings[3], "alice-password")).await;
    assert!(matches!(judged, Judgement::Throttled(_)), "{judged:?}");
    let judged = people.judge(attempt_from(2, &by_network, spellings[3], "alice-password")).await;
    assert!(matches!(judged, Judgement::Right(_)), "{judged:?}");
    let people = ldap(&config::Ldap { failures: 3, ..settings }, &[]);
    for (host, name) in (1..).zip(&spellings[..3]) {
        assert_eq!(people.judge(attempt_from(host, &throttle(0), name, "wrong")).await, WRONG);
    }
    assert!(matches!(login(&people, spellings[3], "alice-password").await, Err(Judgement::Throttled(_))));
}

#[tokio::test]
async fn two_entries_are_refused() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &[]);
    assert_eq!(login(&ldap, "twin", "twin-password").await, Err(Judgement::Wrong(TWO_ENTRIES)));
    assert_eq!(slapd.binds("uid="), 0);
}

#[tokio::test]
async fn an_entry_with_two_names_or_a_name_that_is_none_is_refused() {
    let slapd = Slapd::start();
    let people = ldap(&slapd.settings(vec![slapd.socket()]), &[]);
    let two = Judgement::Wrong("the entry has two values of auth.ldap.user_attribute");
    for name in ["robert", "rob"] {
        assert_eq!(login(&people, name, "robert-password").await, Err(two.clone()));
    }
    let none = Judgement::Wrong("auth.ldap.user_attribute is not the name of a user");
    assert_eq!(login(&people, "co:lon", "colon-password").await, Err(none));
    let hidden = config::Ldap { user_attribute: "mail".to_owned(), ..slapd.settings(vec![slapd.socket()]) };
    let none = Judgement::Wrong("the entry does not show auth.ldap.user_attribute");
    assert_eq!(login(&ldap(&hidden, &[]), "alice", "alice-password").await, Err(none));
    assert_eq!(slapd.binds("uid="), 0);
}

#[tokio::test]
async fn referrals_are_not_followed() {
    let slapd = Slapd::start();
    let people = ldap(&slapd.settings(vec![slapd.socket()]), &[]);
    assert_eq!(login(&people, "far", "x").await, Err(Judgement::Wrong(NO_ENTRY)));
    assert_eq!(login(&people, "alice", "alice-password").await, Ok("alice".to_owned()), "beside a reference");
    let (_folder, server) = server(|tag, id| Some(ended(tag, id, if tag == SEARCH { 10 } else { 49 })));
    assert_eq!(login(&ldap(&settings(vec![server]), &[]), "far", "x").await, Err(Judgement::Wrong(NO_ENTRY)));
}

/// By what is asked, and not by a clock.
#[tokio::test]
async fn users_are_not_told_apart_by_time() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &["developers"]);
    assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()));
    let asked = || (slapd.log(&[" SRCH base="]).len(), slapd.log(&[" BIND ", "method=128"]).len());
    let mut before = asked();
    for name in ["alice", "nobody", "twin", "robert", "door", "co:lon"] {
        assert!(matches!(login(&ldap, name, "wrong").await, Err(Judgement::Wrong(_))));
        let after = asked();
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "{name}");
        before = after;
    }
}

#[tokio::test]
async fn searches_never_have_the_rights_of_a_user() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &["developers"]);
    for name in ["alice", "bob", "alice"] {
        assert_eq!(login(&ldap, name, &format!("{name}-password")).await, Ok(name.to_owned()));
    }
    let connection =
        |line: &String| line.split_whitespace().find(|word| word.starts_with("conn=")).map(str::to_owned);
    let of = |words: &[&str]| slapd.log(words).iter().filter_map(connection).collect::<BTreeSet<_>>();
    let (searching, binding) = (of(&[" SRCH base="]), of(&[" BIND ", "dn=\"uid="]));
    assert_eq!((searching.len(), binding.len()), (1, 1), "connections are kept");
    assert!(searching.is_disjoint(&binding));
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_does_not_lock_a_person() {
    let slapd = Slapd::start();
    let settings = config::Ldap { failures: 4, ..slapd.settings(vec![slapd.socket()]) };
    let people = ldap(&settings, &[]);
    let mut wrong = 0;
    for number in 0..100 {
        let attempt = attempt_from(number % 20, &throttle(10), "alice", format!("wrong-{number}"));
        match people.judge(attempt).await {
            Judgement::Throttled(left) => assert!(left <= settings.window),
            judged => {
                assert_eq!(judged, WRONG);
                wrong += 1;
            }
        }
    }
    assert_eq!((wrong, slapd.binds("uid=alice")), (4, 4));
    let unlimited = ldap(&config::Ldap { failures: 0, ..settings }, &[]);
    assert_eq!(login(&unlimited, "alice", "alice-password").await, Ok("alice".to_owned()));
    assert_eq!(login(&people, "bob", "bob-password").await, Ok("bob".to_owned()));
}

#[tokio::test]
async fn right_passwords_are_not_counted() {
    let slapd = Slapd::start();
    let people = ldap(&config::Ldap { failures: 2, ..slapd.settings(vec![slapd.socket()]) }, &[]);
    for _ in 0..5 {
        let judged = people.judge(attempt_from(1, &throttle(1), "ALICE", "alice-password")).await;
        assert!(matches!(judged, Judgement::Right(_)), "{judged:?}");
    }
}

#[tokio::test]
async fn the_right_password_of_a_locked_account_is_wrong() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &[]);
    for _ in 0..5 {
        assert_eq!(login(&ldap, "alice", "wrong").await, Err(WRONG));
    }
    assert_eq!(login(&ldap, "alice", "alice-password").await, Err(WRONG));
}

#[test]
fn a_password_file_that_everybody_can_read_is_a_mistake() {
    let folder = crate::pki::fixtures::Folder::new();
    let file = folder.write("password", "secret-of-the-door\n");
    set_mode(&file, 0o644);
    let settings = config::Ldap {
        bind_dn: Some("cn=door".to_owned()),
        bind_password: Some(file),
        ..settings(vec![LdapServer::Unix("/nowhere".into())])
    };
    let built = build(&settings, 1, Duration::ZERO, &BTreeSet::new(), None);
    let problems = built.err().unwrap().to_string();
    assert!(problems.contains("is a password that every user of this machine can use"), "{problems}");
    assert!(!problems.contains("secret-of-the-door"), "{problems}");
}
