//! `tidegate check --as`.

use std::fs;

use super::RULES;
use crate::harness::PASSWORD;
use crate::harness::tidegate::Settings;
use crate::harness::tools;

#[test]
fn check_prints_the_rights_of_a_user_and_the_rules_behind_them() {
    let settings = Settings::for_upstream("http://127.0.0.1:1").tables(RULES);
    settings.write_users(&[("alice", PASSWORD), ("robot", PASSWORD), ("root", PASSWORD), ("bob", PASSWORD)]);
    let file = settings.file().display().to_string();
    let ask = |user: &str, repository: &str| {
        tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", &file, "--as", user, repository])
    };
    fs::write(settings.file(), settings.toml()).unwrap();
    let starts: Vec<usize> = settings
        .toml()
        .lines()
        .zip(1..)
        .filter(|(line, _)| *line == "[[access]]")
        .map(|(_, number)| number)
        .collect();
    let place = |rule: usize| format!("{file}:{}:1", starts[rule]);

    let run = ask("alice", "team/app");
    let by = format!("by the rule at {}", place(1));
    assert_eq!(run.stdout, format!("pull    {by}\npush    {by}\ndelete  not allowed\n"), "{}", run.stderr);
    assert_eq!(run.code, Some(0));
    let run = ask("robot", "team/app");
    let lame = format!("push    by the rule at {}, but pushing also requires pull\n", place(2));
    assert_eq!(run.stdout, format!("pull    not allowed\n{lame}delete  not allowed\n"));
    let run = ask("root", "public/app");
    let both = format!("by the rules at {}, {}", place(0), place(3));
    let by = format!("by the rule at {}", place(3));
    assert_eq!(run.stdout, format!("pull    {both}\npush    {by}\ndelete  {by}\n"));
    assert_eq!(ask("anonymous", "public/app").code, Some(0));
    let run = ask("robot", "team/app");
    let push = format!("push    by the rule at {}, but pushing also requires pull", place(2));
    assert_eq!(run.stdout, format!("pull    not allowed\n{push}\ndelete  not allowed\n"));
    let run = ask("bob", "team/app");
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(1), "bob may do nothing with team/app: no rule grants anything\n")
    );
    let run = ask("carol", "team/app");
    assert!(run.success && run.stderr.contains("warning: carol is not in "), "{}", run.stderr);
    let run = ask("team/app", "alice");
    let swapped = "the user comes first, and then the repository: write --as alice team/app";
    assert!(run.code == Some(1) && run.stderr.contains(swapped), "{}", run.stderr);
    let run = ask("@team", "team/app");
    assert!(run.stderr.contains("@team is a group; ask about one of its members"), "{}", run.stderr);
    let run = ask("alice", "team/app:latest");
    assert!(run.code == Some(64) && run.stderr.contains("write it without host and tag"), "{}", run.stderr);

    let settings = settings.set("server.names", r#"["registry.example.com"]"#);
    fs::write(settings.file(), settings.toml()).unwrap();
    let run = ask("alice", "registry.example.com/team/app");
    let host = "begins with the host of this registry; ask about team/app";
    assert!(run.code == Some(1) && run.stderr.contains(host), "{}", run.stderr);

    let settings = settings
        .set("policy.read_only", "true")
        .set("policy.immutable_tags", r#"["team/**:v*", "other/**:*"]"#);
    fs::write(settings.file(), settings.toml()).unwrap();
    let run = ask("alice", "team/app");
    let limits = "but policy.read_only is on: nobody may push or delete\n\
                  but policy.immutable_tags: nobody may overwrite or delete a tag that matches v*\n";
    assert!(run.stdout.ends_with(limits), "{}{}", run.stdout, run.stderr);

    let settings = Settings::for_upstream("http://127.0.0.1:1");
    fs::write(settings.file(), settings.toml()).unwrap();
    let file = settings.file().display().to_string();
    let ask = |user: &str| {
        tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", &file, "--as", user, "a"])
    };
    let everything = "there is no [[access]] rule: every user may do everything, anonymous clients nothing\n";
    assert_eq!((ask("testuser").code, &*ask("testuser").stdout), (Some(0), everything));
    assert_eq!((ask("anonymous").code, &*ask("anonymous").stdout), (Some(1), everything));
}
