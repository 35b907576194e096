//! `[groups]` and `[[access]]`.

use super::*;
use crate::registry::rights::Rights;
use crate::user::User;

/// The settings of `lines` after a valid `[tls]`, which takes lines 1 to 3.
fn sound(lines: &str) -> Config {
    parse(&format!("{PAIR}{lines}\n")).unwrap()
}

/// The only problem of `lines` after a valid `[tls]`.
fn problem(lines: &str) -> String {
    let problems = problems(&format!("{PAIR}{lines}\n"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

fn user(name: &str) -> Subject {
    Subject::User(User::local(name).unwrap())
}

#[test]
fn rules_name_users_and_the_members_of_groups_once() {
    let config = sound(
        "[[access]]
users = [\"alice\", \"@dev-ops\", \"@twins\"]
repositories = [\"team-a/**\"]
actions = [\"pull\", \"push\"]

[[access]]
users = [\"anonymous\", \"*\"]
repositories = [\"${user}/*\", \"public/**\"]
actions = [\"*\", \"catalog\"]

[groups]
dev-ops = [\"bob\", \"alice\"]
twins = [\"bob\", \"alice\"]",
    );
    let [first, second] = config.access.as_slice() else { panic!("{:?}", config.access) };
    assert_eq!((first.place.as_str(), second.place.as_str()), ("proxy.toml:4:1", "proxy.toml:9:1"));
    assert_eq!(first.subjects, [user("alice"), user("bob")]);
    assert_eq!(first.rights, Rights::PULL | Rights::PUSH);
    assert_eq!(second.subjects, [Subject::Anonymous, Subject::EveryUser]);
    assert_eq!(
        second.repositories.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["${user}/*", "public/**"]
    );
    assert_eq!(second.rights, Rights::ALL | Rights::CATALOG);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_group_that_no_rule_names_is_reported() {
    let config = sound("[groups]\nteam = [\"alice\"]");
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "proxy.toml:5:8: groups.team: no entry of [[access]] uses the group; add \"@team\" to the users of one, or remove the group"
        ]
    );
}

#[test]
fn what_a_rule_needs_is_asked_for() {
    assert_eq!(
        problems(&format!("{PAIR}[[access]]\nuser = [\"alice\"]\n")),
        [
            r#"proxy.toml:4:1: access.users is missing; write users = ["alice"]"#,
            r#"proxy.toml:4:1: access.repositories is missing; write repositories = ["team-a/**"]"#,
            r#"proxy.toml:4:1: access.actions is missing; write actions = ["pull"]"#,
            r#"proxy.toml:5:1: unknown key "user" in [[access]]; did you mean "users"?"#,
        ]
    );
}

#[test]
fn all_mistakes_of_all_rules_are_reported() {
    let rules = "[[access]]
users = [\"@develpers\", \"team-*\", \"\", \"bob\", \"@at\"]
repositories = [\"Team\", \"a//b\"]
actions = [\"read\"]
[[access]]
users = []
repositories = [\"a\", \"a\"]
actions = \"pull\"
[groups]
developers = [\"@ops\", \"anonymous\", \"alice\", 3]
empty = []
\"@at\" = [\"alice\"]
";
    let problems = problems(&format!("{PAIR}{rules}"));
    let expected = [
        r#"5:10: access.users: found "@develpers" (there is no group "develpers"; did you mean "@developers"?); write the name of a user, a group"#,
        r#"5:24: access.users: found "team-*" (the name of a user cannot be a pattern)"#,
        r#"5:34: access.users: found "" (the user name is empty)"#,
        r#"6:17: access.repositories: found "Team" (a repository name cannot contain 'T'); write names in which"#,
        r#"6:25: access.repositories: found "a//b" (a pattern cannot start or end with / or contain //)"#,
        r#"7:12: access.actions: found "read"; write "pull", "push", "delete", "catalog", or "*""#,
        "9:9: access.users: found an empty list; write the name of a user",
        "10:22: access.repositories: this is already in the list; remove it",
        r#"11:11: access.actions: found "pull"; write a list: ["pull"]"#,
        r#"13:15: groups.developers: found "@ops" (a group cannot contain groups); write the name of a user, such as "alice""#,
        r#"13:23: groups.developers: found "anonymous" (it is not a single user; write it among the users"#,
        "13:45: groups.developers: found the number 3",
        "14:9: groups.empty: found an empty list; write the name of a user",
        r#"15:9: groups: found the name "@at"; write "at", the @ is for [[access]] only"#,
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(&format!("proxy.toml:{expected}")), "{problem}\n{expected}");
    }
}

#[test]
fn a_list_of_rules_is_no_table_and_not_empty() {
    let rule = "users = [\"alice\"]\nrepositories = [\"**\"]\nactions = [\"pull\"]";
    let single = problem(&format!("[access]\n{rule}"));
    assert!(
        single.starts_with("proxy.toml:4:1: access: found a table; write [[access]] above the keys of each"),
        "{single}"
    );
    let empty = problems(&format!("access = []\n{PAIR}"));
    assert!(
        empty[0].starts_with("proxy.toml:1:10: access: found an empty list; write [[access]]"),
        "{empty:?}"
    );
    let inline = format!("access = [{{ {} }}, 3]\n{PAIR}", rule.replace('\n', ", "));
    let inline = problems(&inline);
    assert!(
        inline[0].contains(": access: found an entry that is not a table; write [[access]]"),
        "{inline:?}"
    );
    assert_eq!(inline.len(), 1);
}

#[test]
fn a_rule_that_can_never_apply_is_refused() {
    let rule = |users: &str, repositories: &str| {
        format!("[[access]]\nusers = [{users}]\nrepositories = [{repositories}]\nactions = [\"pull\"]")
    };
    assert_eq!(
        problem(&rule("\"anonymous\"", "\"${user}/**\"")),
        "proxy.toml:6:16: access.repositories: every pattern contains ${user}, but \"anonymous\" has no name; \
         write a pattern without it, or \"*\" among the users"
    );
    sound(&rule("\"anonymous\", \"*\"", "\"${user}/**\""));
    sound(&rule("\"anonymous\"", "\"${user}/**\", \"public\""));
}

#[test]
fn behind_a_syntax_error_no_group_is_missed() {
    let rule = "[[access]]\nusers = [\"@team\"]\nrepositories = [\"**\"]\nactions = [\"pull\"]";
    assert!(
        problem(&format!("{rule}\n[groups]\nteam = alice")).starts_with("proxy.toml:9:8: not valid TOML")
    );
    assert!(
        problem(&format!("{rule}\n[groups]\nteam = 3")).starts_with("proxy.toml:9:8: groups.team: found")
    );
}
