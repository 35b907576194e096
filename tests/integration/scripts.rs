//! The shell scripts: what they say, and what they do with a wrong command line.

use std::path::Path;
use std::process::Stdio;

use crate::harness::tools::{self, Run};

fn script(name: &str, arguments: &[&str]) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    tools::run("bash", &[&[path.to_str().unwrap()], arguments].concat())
}

const SCRIPTS: [&str; 6] = [
    ".ci/run",
    "deploy/install-packages.sh",
    "deploy/quickstart.sh",
    "fuzz/run.sh",
    "tests/run.sh",
    "tests/soak.sh",
];

#[test]
fn every_script_prints_its_help_and_runs_nothing() {
    for name in SCRIPTS {
        for option in ["--help", "-h"] {
            let run = script(name, &[option]);
            assert_eq!(run.code, Some(0), "{name} {option}: {}", run.stderr);
            // .ci/run is tests/run.sh under another name.
            let shown = if name == ".ci/run" { "tests/run.sh" } else { name };
            assert!(run.stdout.contains(&format!("\n  {shown}")), "{name} {option}: {}", run.stdout);
            assert!(!run.stdout.contains("=="), "{name} {option}: {}", run.stdout);
        }
    }
}

#[test]
fn every_script_refuses_an_unknown_argument_with_its_usage() {
    for name in SCRIPTS {
        let run = script(name, &["--hlep"]);
        assert_eq!(run.code, Some(64), "{name}: {}{}", run.stdout, run.stderr);
        assert_eq!(run.stdout, "", "{name}");
        assert!(run.stderr.contains("--hlep"), "{name}: {}", run.stderr);
    }
}

/// Without a terminal, cargo's lines are replaced by a sign of life every few seconds.
#[test]
fn quickstart_without_a_terminal_says_that_it_is_still_building() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/quickstart.sh");
    let line = r#"
        eval "$(sed -n '/^say()/p; /^report_progress()/,/^}/p' "$1")"
        beat=1
        { echo '   Compiling a v1'; echo '   Compiling b v1'; sleep 1.3; echo 'error: no space left'; } |
            report_progress
    "#;
    let arguments = ["-euo", "pipefail", "-c", line, "bash", path.to_str().unwrap()];
    let run = tools::run_reading("bash", &arguments, Stdio::null());
    assert!(run.success, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.starts_with("  2 crates after "), "{}", run.stdout);
    assert_eq!(run.stderr, "error: no space left");
}
