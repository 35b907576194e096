//! Groups.

use super::*;

async fn groups_of(ldap: &Ldap, name: &str) -> Vec<String> {
    let judged = ldap.judge(attempt(name, format!("{name}-password"))).await;
    let Judgement::Right(person) = judged else { panic!("{judged:?}") };
    person.groups.iter().map(str::to_owned).collect()
}

const ALL: &[&str] = &["developers", "staff", "company", "chicken", "egg", "operators"];

#[tokio::test]
async fn groups_count_without_member_of_and_as_deep_as_the_settings_say() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    for (nested, expected) in [
        (0, &["ldap:developers"][..]),
        (1, &["ldap:developers", "ldap:staff"]),
        (2, &["ldap:company", "ldap:developers", "ldap:staff"]),
        (5, &["ldap:company", "ldap:developers", "ldap:staff"]),
    ] {
        let ldap = ldap(&config::Ldap { nested, ..settings.clone() }, ALL);
        assert_eq!(groups_of(&ldap, "alice").await, expected, "{nested}");
        assert_eq!(groups_of(&ldap, "bob").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_circle_of_groups_ends() {
    let slapd = Slapd::start();
    let ldap = ldap(&config::Ldap { nested: 5, ..slapd.settings(vec![slapd.socket()]) }, ALL);
    assert_eq!(groups_of(&ldap, "carol").await, ["ldap:chicken", "ldap:egg"]);
    let searches = slapd.log(&[" SRCH base=\"ou=groups"]).len();
    assert!(searches <= 3, "{searches}");
}

#[tokio::test]
async fn groups_of_unix_name_the_user() {
    let slapd = Slapd::start();
    let group_filter = Filter::parse("(&(objectClass=posixGroup)(memberUid=${user}))").unwrap();
    let ldap = ldap(&config::Ldap { group_filter, ..slapd.settings(vec![slapd.socket()]) }, ALL);
    assert_eq!(groups_of(&ldap, "bob").await, ["ldap:operators"]);
    assert_eq!(groups_of(&ldap, "alice").await, [""; 0]);
}

#[tokio::test]
async fn only_groups_that_rules_name_are_kept_and_without_any_none_is_asked_for() {
    let slapd = Slapd::start();
    let settings = config::Ldap { nested: 2, ..slapd.settings(vec![slapd.socket()]) };
    assert_eq!(groups_of(&ldap(&settings, &["staff", "Developers"]), "alice").await, ["ldap:staff"]);
    let before = slapd.log(&["ou=groups", " SRCH base="]).len();
    assert_eq!(groups_of(&ldap(&settings, &[]), "alice").await, [""; 0]);
    let none = config::Ldap { group_base: None, ..settings };
    assert_eq!(groups_of(&ldap(&none, ALL), "alice").await, [""; 0]);
    assert_eq!(slapd.log(&["ou=groups", " SRCH base="]).len(), before);
}

#[tokio::test]
async fn at_most_two_hundred_groups_are_read() {
    let many: String = (0..150)
        .map(|number| {
            format!(
                "dn: cn=g{number},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: g{number}\n\
                 member: uid=bob,ou=people,dc=example,dc=org\n\n\
                 dn: cn=h{number},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: h{number}\n\
                 member: cn=g{number},ou=groups,dc=example,dc=org\n\n"
            )
        })
        .collect();
    let slapd = Slapd::start_with("", &many);
    let ldap = ldap(&config::Ldap { nested: 5, ..slapd.settings(vec![slapd.socket()]) }, &[]);
    let shown = ldap.show("bob", &Secret::new(*b"bob-password")).await.unwrap();
    assert_eq!(shown.found.unwrap().groups.len(), 200);
    let sent: usize = slapd
        .log(&["SEARCH RESULT"])
        .iter()
        .filter_map(|line| line.split("nentries=").nth(1)?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(sent, 201, "the user and the groups");
}

#[tokio::test]
async fn a_group_base_that_is_not_there_is_unavailable() {
    let slapd = Slapd::start();
    let group_base = Some("ou=nowhere,dc=example,dc=org".to_owned());
    let ldap = ldap(&config::Ldap { group_base, ..slapd.settings(vec![slapd.socket()]) }, ALL);
    assert_eq!(login(&ldap, "alice", "alice-password").await, Err(Judgement::Unavailable));
}

#[tokio::test]
async fn the_nested_group_rule_of_active_directory_finds_nobody_elsewhere() {
    let slapd = Slapd::start();
    let group_filter = Filter::parse("(member:1.2.840.113556.1.4.1941:=${dn})").unwrap();
    let ldap = ldap(&config::Ldap { group_filter, ..slapd.settings(vec![slapd.socket()]) }, ALL);
    assert_eq!(groups_of(&ldap, "alice").await, [""; 0], "in no group, and in");
}

#[tokio::test]
async fn token_groups_and_member_of_are_not_used() {
    let slapd = Slapd::start();
    let ldap = ldap(&config::Ldap { nested: 2, ..slapd.settings(vec![slapd.socket()]) }, ALL);
    assert_eq!(groups_of(&ldap, "alice").await.len(), 3);
    let asked = slapd.log(&[" SRCH attr="]);
    let uses = |line: &String| {
        line.to_lowercase().contains("tokengroups") || line.to_lowercase().contains("memberof")
    };
    assert!(asked.len() >= 2 && !asked.iter().any(uses), "{asked:?}");
}
