//! Blocks of YAML.

use std::fs;
use std::path::Path;

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
    let rules = "{rules: {key-duplicates: enable}}";
    let run = tools::run("yamllint", &["--format", "parsable", "-d", rules, file.to_str().unwrap()]);
    if run.success { Vec::new() } else { vec![run.stdout] }
}
