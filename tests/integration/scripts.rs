//! The shell scripts: what they say, and what they do with a wrong command line.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::tools::{self, Run};

fn script(name: &str, arguments: &[&str]) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    tools::run("bash", &[&[path.to_str().unwrap()], arguments].concat())
}

const SCRIPTS: [&str; 16] = [
    ".ci/run",
    "deploy/build.sh",
    "deploy/debian/build.sh",
    "deploy/image/assemble.sh",
    "deploy/image/build.sh",
    "deploy/install-packages.sh",
    "deploy/notices.sh",
    "deploy/quickstart.sh",
    "deploy/sbom.sh",
    "fuzz/run.sh",
    "tests/compose/run.sh",
    "tests/kubernetes/validate.sh",
    "tests/package/run.sh",
    "tests/run.sh",
    "tests/soak.sh",
    "tests/systemd/upgrade.sh",
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

/// The bill of materials.
#[test]
fn the_bill_lists_what_is_compiled_and_is_the_same_each_time() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/sbom.sh");
    let line = r#"SOURCE_DATE_EPOCH=1 "$1""#;
    let bill = || tools::succeed("bash", &["-c", line, "bash", path.to_str().unwrap()]);
    let text = bill();
    assert_eq!(text, bill());
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:01Z");
    let components = bill["components"].as_array().unwrap();
    let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    for name in ["rustls", "aws-lc-sys", "tokio", "http"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // What only tests need, and what only a feature needs that is off.
    for name in ["proptest", "tempfile", "ring", "tidegate"] {
        assert!(!names.contains(&name), "{name} in {names:?}");
    }
    for component in components {
        assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), Some(64), "{component}");
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
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
