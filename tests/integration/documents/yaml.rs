//! Blocks of YAML.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::harness::tools;

/// What is wrong with a configuration of the registry, or with any other YAML.
pub fn problems(text: &str, folder: &Path) -> Vec<String> {
    let file = folder.join("block.yml");
    let below = format!(": {}/", folder.display());
    fs::write(&file, text.replace(": /", &below)).unwrap();
    if text.lines().any(|line| line.starts_with("version: 0.1")) {
        // The registry reads the whole configuration first, and then finds no storage to collect.
        let path = file.to_str().unwrap();
        let run = tools::run("docker-registry", &["garbage-collect", "--dry-run", path]);
        let is_read = !run.stderr.contains("configuration error");
        return if is_read { Vec::new() } else { vec![run.stderr] };
    }
    let mut problems = Vec::new();
    if text.contains('\t') {
        problems.push("YAML has no tabs".to_owned());
    }
    if tools::run("python3", &["-c", "import yaml"]).success {
        let program = "import sys, yaml; list(yaml.safe_load_all(sys.stdin))";
        let input = Stdio::from(File::open(&file).unwrap());
        let run = tools::run_reading("python3", &["-c", program], input);
        if !run.success {
            problems.push(run.stderr.lines().last().unwrap_or_default().to_owned());
        }
    }
    problems
}
