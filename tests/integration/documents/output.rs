//! Blocks that show what a script prints.

use std::fs;
use std::path::Path;

use regex::Regex;

/// The scripts whose output is shown, and the test that holds a whole frame of `tidegate top`.
const SCRIPTS: [&str; 3] = ["deploy/quickstart.sh", "tests/run.sh", "src/cli/top/frame/tests.rs"];

/// The fixed words that no script prints. A word with a digit, a slash or a brace may vary.
pub fn problems(text: &str, repository: &Path) -> Vec<String> {
    let scripts: Vec<String> = SCRIPTS.iter().map(|script| printed(repository, script)).collect();
    let mut problems = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let fixed =
            words.split(|word| word.contains(['/', '{']) || word.contains(|c: char| c.is_ascii_digit()));
        for run in fixed.filter(|run| run.len() > 1).map(|run| run.join(" ")) {
            if !scripts.iter().any(|script| script.contains(&run)) {
                problems.push(format!("no script prints {run:?}"));
            }
        }
    }
    problems
}

/// A script with single blanks, and with the value of each variable that has a constant one.
fn printed(repository: &Path, script: &str) -> String {
    let text = fs::read_to_string(repository.join(script)).unwrap();
    let constant = Regex::new(r"(?m)^([a-z_]+)=([a-z]+)$").unwrap();
    let mut printed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for found in constant.captures_iter(&text) {
        printed = printed.replace(&format!("${} ", &found[1]), &format!("{} ", &found[2]));
    }
    printed
}
