//! What outlives a login: persons for identity tokens, and what a reload takes over.

use super::*;

fn alice() -> User {
    User::parse("alice").unwrap()
}

/// Changes the directory, as its administrator.
fn change(slapd: &Slapd, text: &str) {
    let changes = slapd.folder.write("changes.ldif", text);
    let url = format!("ldapi://{}", slapd.folder.path("ldapi").display().to_string().replace('/', "%2F"));
    let mut command = Command::new("ldapmodify");
    command.args(["-x", "-D", "cn=root,dc=example,dc=org", "-w", "root-password", "-H", &url, "-f"]);
    let changed = command.arg(changes).output().expect("ldap-utils is installed: tests/run.sh does it");
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
}

#[tokio::test]
async fn a_person_is_the_one_that_has_logged_in_and_is_remembered() {
    let slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.socket()]), &["developers"]);
    let Judgement::Right(person) = ldap.judge(attempt("ALICE", "alice-password")).await else { panic!() };
    let before = slapd.log(&[" SRCH base="]).len();
    for _ in 0..3 {
        assert_eq!(ldap.person(&alice()).await, Ok(Some(person.clone())));
        assert_eq!(ldap.person(&User::parse("nobody").unwrap()).await, Ok(None));
    }
    assert_eq!(slapd.log(&[" SRCH base="]).len() - before, 3, "alice, her groups, and nobody");
    assert_eq!(slapd.binds("uid="), 1);
    for other in ["ALICE", "twin", "rob", "door", "*", "gitlab:alice"] {
        assert_eq!(ldap.person(&User::parse(other).unwrap()).await, Ok(None), "{other}");
    }
}

#[tokio::test]
async fn a_new_password_and_another_entry_of_the_name_change_the_binding() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    let people = build(&settings, 1, Duration::ZERO, &BTreeSet::new(), None).unwrap();
    let first = people.person(&alice()).await.unwrap().unwrap().binding;
    let entry = "dn: uid=alice,ou=people,dc=example,dc=org\nchangetype: ";
    change(&slapd, &format!("{entry}modify\nreplace: cn\ncn: Alice B\n"));
    assert_eq!(people.person(&alice()).await.unwrap().unwrap().binding, first);
    change(&slapd, &format!("{entry}modify\nreplace: userPassword\nuserPassword: new\n"));
    let second = people.person(&alice()).await.unwrap().unwrap().binding;
    assert_ne!(second, first);
    change(&slapd, &format!("{entry}delete\n"));
    assert_eq!(people.person(&alice()).await, Ok(None));
    let again = "add\nobjectClass: inetOrgPerson\nuid: alice\ncn: A\nsn: A\nuserPassword: new\n";
    change(&slapd, &format!("{entry}{again}"));
    let third = people.person(&alice()).await.unwrap().unwrap().binding;
    assert!(third != second && third != first);
}

#[tokio::test]
async fn a_reload_keeps_connections_and_counts() {
    let slapd = Slapd::start();
    let settings = config::Ldap { failures: 1, ..slapd.settings(vec![slapd.socket()]) };
    let build = |settings: &config::Ldap, wanted: &[&str], before: Option<&Arc<Ldap>>| {
        let wanted = wanted.iter().map(|name| format!("ldap:{name}")).collect();
        build(settings, 64, Duration::ZERO, &wanted, before).unwrap()
    };
    let first = build(&settings, &[], None);
    assert_eq!(login(&first, "alice", "wrong").await, Err(WRONG));
    let second = build(&settings, &["staff"], Some(&first));
    assert_eq!(login(&second, "bob", "bob-password").await, Ok("bob".to_owned()));
    assert_eq!(slapd.log(&["ACCEPT"]).len(), 2);
    assert!(matches!(login(&second, "alice", "alice-password").await, Err(Judgement::Throttled(_))));

    let other = config::Ldap { timeout: Duration::from_secs(19), ..settings.clone() };
    let third = build(&other, &["staff"], Some(&second));
    assert_eq!(login(&third, "bob", "bob-password").await, Ok("bob".to_owned()));
    assert_eq!(slapd.log(&["ACCEPT"]).len(), 4, "other settings, other connections");
    assert!(matches!(login(&third, "alice", "alice-password").await, Err(Judgement::Throttled(_))));

    let digests = BTreeSet::from([*first.digest(), *second.digest(), *third.digest()]);
    assert_eq!(digests.len(), 3);
    assert_eq!(build(&settings, &[], None).digest(), first.digest());
    slapd.folder.write("door-password", "another\n");
    assert!(!Arc::ptr_eq(&build(&settings, &[], Some(&first)).directory, &first.directory));
}
