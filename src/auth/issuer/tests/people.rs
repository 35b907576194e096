//! The user and the groups of a token.

use super::*;

#[tokio::test]
async fn a_user_is_made_of_claims() {
    for (template, changes, user) in [
        ("${sub}", json!({}), "gitlab:project_path:team/app:ref_type:branch:ref:main"),
        ("${project_path}", json!({}), "gitlab:team/app"),
        ("p-${project_id}", json!({}), "gitlab:p-22"),
        ("${/k.io/ns}/${/k.io/list/0}", json!({ "k.io": { "ns": "ci", "list": ["a"] } }), "gitlab:ci/a"),
        ("${project_path}", json!({ "project_path": "team/é" }), "gitlab:team/é"),
    ] {
        let gitlab = GitLab::new(&format!("user = {template:?}"));
        assert_eq!(gitlab.user(&but(changes)).await, user);
    }
    let gitlab = GitLab::new("user = \"${who}\"");
    for (who, reason) in [
        (json!(null), "the claim who is missing"),
        (json!(""), "the claim who is empty"),
        (json!("a\nb"), "its claims make no user: the user name holds a control character"),
        (json!("a\0"), "its claims make no user: the user name holds a control character"),
        (json!(["a"]), "the claim who is a list and not a text or a whole number"),
        (json!({ "a": 1 }), "the claim who is an object and not a text or a whole number"),
        (json!(true), "the claim who is true or false and not a text or a whole number"),
        (json!(1.5), "the claim who is a number with a fraction and not a text or a whole number"),
        (json!("a".repeat(1018)), "its claims make a user of more than 1024 bytes"),
    ] {
        assert_eq!(gitlab.reason(&but(json!({ "who": who }))).await, reason);
    }
    assert_eq!(gitlab.user(&but(json!({ "who": "a".repeat(1017) }))).await.len(), 1024);
}

/// Nobody becomes a user of the htpasswd, or of another issuer.
#[tokio::test]
async fn a_user_stays_in_the_name_space_of_the_issuer() {
    let gitlab = GitLab::new("user = \"${who}\"");
    for who in ["alice", ":alice", "other:alice", "*", "@ops"] {
        let user = gitlab.user(&but(json!({ "who": who }))).await;
        assert_eq!(user, format!("gitlab:{who}"));
    }
}

#[tokio::test]
async fn groups_are_those_that_rules_name() {
    let gitlab = GitLab::new("groups = \"groups\"");
    for (groups, expected) in [
        (json!(null), &[][..]),
        (json!("ops"), &["gitlab:ops"]),
        (json!(["dev", "ops", "others", "ops"]), &["gitlab:dev", "gitlab:ops"]),
        (json!([]), &[]),
        (json!(["other:ops", "gitlab:ops", "@ops", "", "ops dev"]), &[]),
    ] {
        let accepted = gitlab.verify(&but(json!({ "groups": groups.clone() }))).await.unwrap();
        assert_eq!(accepted.person.groups.iter().collect::<Vec<_>>(), expected, "{groups}");
    }
    let many: Vec<String> = (0..300).map(|number| format!("g{number}")).chain(["ops".to_owned()]).collect();
    let accepted = gitlab.verify(&but(json!({ "groups": many }))).await.unwrap();
    assert!(accepted.person.groups.contains("gitlab:ops"));
    for (groups, found) in [(json!(1), "a number"), (json!(["ops", 1]), "a list with something else in it")] {
        let reason = gitlab.reason(&but(json!({ "groups": groups }))).await;
        assert_eq!(reason, format!("the claim groups is {found} and not a text or a list of texts"));
    }
    let without = GitLab::new("").verify(&but(json!({ "groups": ["ops"] }))).await.unwrap();
    assert_eq!(without.person.groups.iter().count(), 0);
}
