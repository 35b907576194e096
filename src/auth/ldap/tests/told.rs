//! What operators are told.

use super::*;

#[tokio::test]
async fn a_login_is_shown_with_everything_that_was_found() {
    let slapd = Slapd::start();
    let settings = config::Ldap { nested: 1, ..slapd.settings(vec![slapd.socket()]) };
    let people = ldap(&settings, &[]);
    let password = Secret::new(*b"alice-password");
    let shown = people.show("ALICE", &password).await.unwrap();
    assert_eq!((shown.server, shown.refused), (slapd.socket().to_string(), None));
    let found = shown.found.unwrap();
    assert_eq!(
        (found.dn.as_str(), found.user.as_str()),
        ("uid=alice,ou=people,dc=example,dc=org", Some("alice"))
    );
    assert_eq!(found.groups.into_iter().collect::<Vec<_>>(), ["developers", "staff"]);

    let shown = people.show("bob", &password).await.unwrap();
    assert_eq!(
        (shown.refused, shown.found.map(|found| found.dn.len() > 1)),
        (Some("wrong password"), Some(true))
    );
    let shown = people.show("twin", &password).await.unwrap();
    assert_eq!((shown.refused, shown.found), (Some(TWO_ENTRIES), None));
    let nowhere = config::Ldap { base: "dc=nowhere".to_owned(), ..settings };
    let told = ldap(&nowhere, &[]).show("alice", &password).await.unwrap_err();
    assert!(told.contains("the search below dc=nowhere fails: code 32 (noSuchObject)"), "{told}");
}

async fn findings(settings: &config::Ldap, wanted: &[&str]) -> Vec<String> {
    let told = ldap(settings, wanted).probe().await.into_iter().map(|finding| match finding {
        Finding::Mistake(text) => format!("mistake: {text}"),
        Finding::Warning(text) => format!("warning: {text}"),
    });
    told.collect()
}

#[tokio::test]
async fn a_directory_in_order_is_not_complained_of() {
    let slapd = Slapd::start();
    let servers = vec![slapd.tls(), slapd.start_tls(), slapd.socket()];
    assert_eq!(findings(&slapd.settings(servers), &["developers", "operators"]).await, [""; 0]);
}

#[tokio::test]
async fn what_would_fail_is_told() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    let told = findings(&settings, &["developers", "Staff", "nobodies"]).await;
    let expected = [
        "warning: the group @ldap:Staff, which a rule names, is not found: the directory spells it in another way",
        "warning: the group @ldap:nobodies, which a rule names, is not found: there is none below ou=groups,dc=example,dc=org",
    ];
    assert_eq!(told, expected);

    let anonymous = config::Ldap { bind_dn: None, bind_password: None, ..settings.clone() };
    let told = findings(&anonymous, &[]).await;
    assert!(told[0].starts_with("mistake: auth.ldap"), "{told:?}");
    assert!(told[0].contains("a client without an account (auth.ldap.bind_dn is empty)"), "{told:?}");

    let hidden = config::Ldap { user_attribute: "mail".to_owned(), ..settings.clone() };
    let told = findings(&hidden, &[]).await;
    assert!(
        told[0].starts_with("mistake: auth.ldap.user_attribute: the directory does not show mail of "),
        "{told:?}"
    );

    let ungrouped = config::Ldap { group_base: None, ..settings.clone() };
    let told = findings(&ungrouped, &["developers"]).await;
    assert!(told[0].starts_with("mistake: auth.ldap.group_base is missing"), "{told:?}");

    let nowhere = LdapServer::Unix(slapd.folder.path("nothing"));
    let told =
        findings(&config::Ldap { servers: vec![nowhere, slapd.socket()], ..settings.clone() }, &[]).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("warning: auth.ldap.servers: unix:"), "{told:?}");

    slapd.folder.write("door-password", "a-wrong-password\n");
    let told = findings(&settings, &[]).await;
    assert!(told[0].contains("the search account is refused: code 49 (invalidCredentials)"), "{told:?}");
    assert!(!told[0].contains("a-wrong-password"), "{told:?}");
}
