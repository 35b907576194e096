//! Command lines of the documents: what is run here, and what is only looked at.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::harness::child;
use crate::harness::tools;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// What the documents may run on the machine of the test.
const HERE: [&str; 6] = ["tidegate", "mkdir", "chmod", "openssl", "umask", "export"];

/// What needs a daemon, a cluster, another machine or a long build. Such a line is not run, but
/// the files and targets that it names must exist.
const ELSEWHERE: [&str; 15] = [
    "docker",
    "curl",
    "kubectl",
    "cp",
    "systemctl",
    "journalctl",
    "ssh",
    "scp",
    "sudo",
    "cargo",
    "apt",
    // Run by the tests of the audit log.
    "jq",
    "deploy/debian/build.sh",
    "deploy/quickstart.sh",
    "tests/run.sh",
];

/// Starts the program and ends it as soon as it listens. For `top`, nothing runs that could be
/// asked, so only its command line is judged. Every other command is the program itself.
const WRAPPER: &str = r#"#!/usr/bin/env bash
[[ ${1:-} != top ]] || { "$PROGRAM" "$@"; (($? != 64)); exit; }
[[ ${1:-} == serve ]] || exec "$PROGRAM" "$@"
export TIDEGATE_SERVER_LISTEN=127.0.0.1:0 TIDEGATE_SERVER_PLAIN=127.0.0.1:0 TIDEGATE_SERVER_DRAIN_TIMEOUT=0s
exec 3< <(echo $BASHPID; exec "$PROGRAM" "$@" 2>&1)
read -r pid <&3
while read -r line <&3; do
    printf '%s\n' "$line" >&2
    [[ $line != *listening* ]] || { listening=true; kill -TERM "$pid"; }
done
[[ ${listening:-} == true ]]
"#;

/// What is done with a line.
#[derive(Debug, PartialEq)]
pub enum Place {
    Here,
    Elsewhere,
}

/// The words of a line, up to a comment. Quotes are kept, and so is `$(…)` within a word.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut depth) = (None, 0_i32);
    for char in line.chars() {
        let word = words.last_mut().unwrap();
        match (quote, char) {
            (None, '#') if word.is_empty() && depth == 0 => break,
            (None, ' ') if depth == 0 => {
                if !word.is_empty() {
                    words.push(String::new());
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            (None, '(') if word.ends_with('$') || depth > 0 => depth += 1,
            (None, ')') => depth = (depth - 1).max(0),
            _ => {}
        }
        word.push(char);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Where a line belongs, by the first word of each of its commands.
pub fn judge(line: &str) -> Result<Place, String> {
    let words = words(line);
    let (mut place, mut is_first) = (Place::Here, true);
    for word in &words {
        let bare = word.trim_start_matches('(').trim_end_matches([';', ')']);
        let is_assignment = bare.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        if matches!(word.as_str(), "&&" | "||" | "|" | ";") {
            is_first = true;
            continue;
        }
        if is_first && !is_assignment {
            if ELSEWHERE.contains(&bare) {
                place = Place::Elsewhere;
            } else if !HERE.contains(&bare) {
                return Err(format!("unknown command {bare:?}"));
            }
            is_first = false;
        }
        if word.ends_with(';') {
            is_first = true;
        }
    }
    if is_first { Err("there is no command".to_owned()) } else { Ok(place) }
}

/// The lines of a block that are commands, those that end in a backslash joined with the next.
pub fn lines(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The files and cargo targets that do not exist, of those that a line names. It is not run.
/// A file may be in any of `folders`.
pub fn look_at(line: &str, folders: &[&Path]) -> Vec<String> {
    let words = words(line);
    let mut missing = Vec::new();
    for word in &words {
        let value = word.rsplit('=').next().unwrap();
        // A path in a folder: no image, no address, no build result, no object of a cluster.
        let is_path = value.contains('/') && !value.starts_with('/') && !value.contains([':', '@', '$']);
        let is_made = ["target/", "deployment/"].iter().any(|start| value.starts_with(start));
        if is_path && !is_made && !folders.iter().any(|folder| exists(folder, value)) {
            missing.push(format!("there is no file {value}"));
        }
    }
    let targets = include_str!("../../../Cargo.toml");
    for pair in words.windows(2).filter(|pair| matches!(pair[0].as_str(), "--bench" | "--test")) {
        if !targets.contains(&format!("name = \"{}\"", pair[1])) {
            missing.push(format!("cargo has no target {}", pair[1]));
        }
    }
    missing
}

/// Whether a path, whose last component may be `*`, is in the folder.
fn exists(folder: &Path, path: &str) -> bool {
    folder.join(path.strip_suffix("/*").unwrap_or(path)).exists()
}

/// How a command ended.
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a line in `folder` as a shell does, with a password on its standard input.
pub fn run(line: &str, folder: &Path) -> Ended {
    let tools = folder.join(".bin");
    let wrapper = tools.join("tidegate");
    if !wrapper.exists() {
        fs::create_dir_all(&tools).unwrap();
        fs::write(&wrapper, WRAPPER).unwrap();
        chmod(&wrapper, 0o755);
    }
    let input = folder.join(".input");
    fs::write(&input, "a password\n").unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", line]).current_dir(folder);
    command.env_clear().env("PATH", path).env("PROGRAM", PROGRAM).env("HOME", folder);
    command.stdin(Stdio::from(fs::File::open(&input).unwrap()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = child::spawn(command).unwrap().wait_with_output().unwrap();
    Ended {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program in `folder`, where it must succeed.
pub fn tidegate(folder: &Path, arguments: &[&str]) -> String {
    let line = format!("tidegate {}", arguments.join(" "));
    let ended = run(&line, folder);
    assert!(ended.success, "{line}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

pub fn chmod(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

/// The help of a command such as `["cert", "ca"]`.
pub fn help(command: &[&str]) -> String {
    static SEEN: OnceLock<Mutex<HashMap<String, String>>> = OnceLock::new();
    let mut seen = SEEN.get_or_init(Mutex::default).lock().unwrap();
    let text = seen.entry(command.join(" ")).or_insert_with(|| {
        let arguments = [command, &["--help"]].concat();
        tools::succeed(PROGRAM, &arguments)
    });
    text.clone()
}

/// The commands that the help of `command` lists.
pub fn commands_of(command: &[&str]) -> Vec<String> {
    let help = help(command);
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The unknown command or options in a mention of the program, such as `tidegate check --dump`.
pub fn mentioned(text: &str) -> Vec<String> {
    let words = words(text);
    let mut words = words.iter().skip(1).map(String::as_str).peekable();
    let mut command = Vec::new();
    while let Some(word) = words.peek() {
        let mut known = commands_of(&command);
        // It is for packages, so the help does not list it.
        known.extend(command.is_empty().then(|| "generate".to_owned()));
        if known.iter().any(|name| name == word) {
            command.push(*word);
            words.next();
            continue;
        }
        // `tidegate token` has commands and takes a file as well.
        if !known.is_empty() && !word.starts_with('-') && !help(&command).contains("Arguments:") {
            return vec![format!("{text}: unknown command {word:?}")];
        }
        break;
    }
    let help = help(&command);
    let options = words.filter(|word| word.starts_with("--"));
    let options = options.map(|word| word.split('=').next().unwrap());
    let unknown =
        options.filter(|option| !help.split_whitespace().any(|word| word.trim_end_matches(',') == *option));
    unknown.map(|option| format!("{text}: unknown option {option}")).collect()
}
