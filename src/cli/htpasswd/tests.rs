use super::*;
use clap::Parser;
use std::fs;

/// Issued by Debian's `htpasswd -nbB -C 4 user hunter2`.
const HASH: &str = "$2y$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    htpasswd: Htpasswd,
}

/// Runs a command line with `FILE` replaced by `file`, and `password` as its input.
fn htpasswd(file: &Path, line: &str, password: &str) -> Result<String, HtpasswdError> {
    let words = line.split(' ').map(|word| if word == "FILE" { file.as_os_str() } else { word.as_ref() });
    let parsed = CommandLine::try_parse_from(std::iter::once("htpasswd".as_ref()).chain(words));
    let command = parsed.map_err(|error| HtpasswdError::Usage(error.to_string()))?.htpasswd.command;
    let mut out = Vec::new();
    execute(command, &mut out, |_, _| password::read_line(password.as_bytes()))?;
    Ok(String::from_utf8(out).unwrap())
}

fn exit_code(result: Result<String, HtpasswdError>) -> u8 {
    result.map_or_else(|failure| failure.exit_code(), |_| 0)
}

#[test]
fn adds_changes_verifies_lists_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("htpasswd");
    let shown = file.display();
    let said = |line, password| htpasswd(file, line, password).unwrap();

    assert_eq!(said("add --cost 4 FILE alice", "one\n"), format!("created {shown} with user alice\n"));
    assert_eq!(said("add --cost 4 FILE bob", "two\r\n"), format!("added user bob to {shown}\n"));
    assert_eq!(
        said("add --cost 5 FILE alice", "three"),
        format!("changed the password of user alice in {shown}\n")
    );
    assert_eq!(said("verify FILE alice", "three\n"), "the password of user alice is right\n");
    assert_eq!(said("verify FILE bob", "two\nmore"), "the password of user bob is right\n");
    assert_eq!(exit_code(htpasswd(file, "verify FILE alice", "one")), 1);
    assert_eq!(exit_code(htpasswd(file, "verify FILE carol", "one")), 1);
    assert_eq!(said("list FILE", ""), "alice\tbcrypt, cost 5\nbob\tbcrypt, cost 4\n");
    assert_eq!(said("remove FILE alice", ""), format!("removed user alice from {shown}\n"));
    assert_eq!(exit_code(htpasswd(file, "remove FILE alice", "")), 1);
    assert_eq!(said("list FILE", ""), "bob\tbcrypt, cost 4\n");
}

#[test]
fn a_name_that_no_rule_can_mean_is_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("htpasswd");
    for (name, meaning) in [("anonymous", "every client"), ("@team", "a group"), ("*", "a pattern")] {
        let said = htpasswd(file, &format!("add --cost 4 FILE {name}"), "one\n").unwrap();
        let note =
            format!("note: in access rules, {name} stands for {meaning}, so that no rule can name this user");
        assert_eq!(said.lines().last(), Some(&*note));
    }
}

#[test]
fn writes_what_htpasswd_writes_with_cost_10() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    htpasswd(&file, "add FILE alice", "secret").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("alice:$2y$10$") && text.len() == 6 + 60 + 1, "{text}");
}

#[test]
fn knows_the_passwords_of_apaches_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    fs::write(&file, format!("a:{HASH}\nb:$apr1$.8Hbj/rW$eDgXb.6OTejh9IcK.bYsS.\n")).unwrap();
    for user in ["a", "b"] {
        assert!(htpasswd(&file, &format!("verify FILE {user}"), "hunter2").is_ok());
    }
    assert_eq!(htpasswd(&file, "list FILE", "").unwrap(), "a\tbcrypt, cost 4\nb\t$apr1$, legacy\n");
}

#[test]
fn refuses_passwords_and_names_that_could_not_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = &folder.path().join("htpasswd");
    let refused = |line: &str, password: &str, reason: &str| {
        let failure = htpasswd(file, line, password).unwrap_err();
        assert_eq!(failure.exit_code(), 64, "{failure}");
        assert!(failure.to_string().contains(reason), "{failure}");
        assert!(!file.exists());
    };
    refused("add FILE alice", "\n", "empty");
    refused("add FILE alice", "tab\tbed", "control");
    refused("add FILE alice", &"x".repeat(73), "72 bytes");
    refused("add FILE a:b", "x", "colon");
    refused("add FILE #a", "x", "comment");
    refused("add --cost 3 FILE a", "x", "4..=14");
    refused("add --cost 15 FILE a", "x", "4..=14");
    assert_eq!(exit_code(htpasswd(file, "add --cost 4 FILE a", &"x".repeat(72))), 0);
}

#[test]
fn says_what_is_wrong_with_a_file_and_does_not_touch_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    for line in ["list FILE", "remove FILE a", "verify FILE a", "add --cost 4 /nonexistent/htpasswd a"] {
        assert_eq!(exit_code(htpasswd(&file, line, "x")), 66, "{line}");
    }
    let text = format!("a:{HASH}\nb:plain\n");
    fs::write(&file, &text).unwrap();
    for line in ["list FILE", "remove FILE a", "verify FILE a", "add --cost 4 FILE c"] {
        let failure = htpasswd(&file, line, "x").unwrap_err();
        assert_eq!(failure.exit_code(), 78, "{line}");
        assert!(failure.to_string().starts_with(&format!("{}:2: user \"b\": ", file.display())), "{failure}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    htpasswd(&file, "add --cost 4 FILE b", "x").unwrap();
    assert_eq!(exit_code(htpasswd(&file, "list FILE", "")), 0);
    assert_eq!(exit_code(htpasswd(folder.path(), "list FILE", "")), 74);
}

#[test]
fn a_user_before_the_file_makes_no_file_named_like_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("htpasswd");
    let shown = file.display();
    let user = Path::new("swapped-user-of-this-test");
    let wanted = format!(
        "the file comes first, and then the user: write {shown} swapped-user-of-this-test instead of \
         swapped-user-of-this-test {shown}"
    );
    // Before the file is there, and after.
    for _ in 0..2 {
        for command in ["add", "remove", "verify"] {
            let line = format!("{command} {} {shown}", user.display());
            let failure = htpasswd(&file, &line, "secret").unwrap_err();
            assert_eq!((failure.to_string(), failure.exit_code()), (wanted.clone(), 64));
        }
        assert!(!user.exists());
        htpasswd(&file, "add --cost 4 FILE alice", "secret").unwrap();
    }
    // A name with a slash is allowed, and so is a new file beside it.
    let failure = htpasswd(&file, "verify no-such-file EXAMPLE/alice", "secret").unwrap_err();
    assert_eq!(failure.exit_code(), 66);
}

#[test]
fn a_missing_folder_is_reported_with_the_command_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth/htpasswd");
    // Before the password is asked for.
    let failure = htpasswd(&file, "add --cost 4 FILE alice", "").unwrap_err().to_string();
    let wanted = format!(
        "{}: its folder does not exist; check the path, or make it with `mkdir -p {}`",
        file.display(),
        file.parent().unwrap().display()
    );
    assert_eq!(failure, wanted);
}
