//! The command-line programs that people use with a registry.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::child;
use super::lines::Lines;

/// The output of a program and how it ended.
pub struct Run {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `program` to its end.
pub fn run(program: &str, arguments: &[&str]) -> Run {
    run_reading(program, arguments, Stdio::null())
}

/// Runs `program` to its end with a standard input.
pub fn run_reading(program: &str, arguments: &[&str], stdin: Stdio) -> Run {
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        child::spawn(command).unwrap_or_else(|error| panic!("{program}: {error}; tests/run.sh installs it"));
    let stderr = Lines::follow(child.stderr.take().unwrap());
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    Run {
        success: status.success(),
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: stderr.to_end().join("\n"),
    }
}

/// Runs `program`, which must succeed, and returns its output.
pub fn succeed(program: &str, arguments: &[&str]) -> String {
    finished(program, arguments, run(program, arguments))
}

fn finished(program: &str, arguments: &[&str], run: Run) -> String {
    assert!(run.success, "{program} {arguments:?} failed:\n{}\n{}", run.stdout, run.stderr);
    run.stdout
}

/// Runs curl with `ca` trusted and the tests' user logged in. `stdin` is the body for `-T -`.
pub fn curl(ca: &Path, arguments: &[&str], stdin: Option<File>) -> String {
    let user = format!("{}:{}", super::USER, super::PASSWORD);
    let ca = ca.to_str().unwrap();
    let mut all = vec!["--silent", "--show-error", "--max-time", "60", "--cacert", ca, "--user", &user];
    all.extend(arguments);
    let run = run_reading("curl", &all, stdin.map_or_else(Stdio::null, Stdio::from));
    finished("curl", &all, run)
}
