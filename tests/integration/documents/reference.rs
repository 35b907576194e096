//! The reference of keys, `docs/configuration.md`, and what other pages say of keys and codes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

use super::markdown::Page;

/// The sections that are lists of tables.
const LISTS: [&str; 3] = ["access", "auth.issuer", "route"];

/// A key of a section and the text of its default.
pub type Keys = BTreeMap<(String, String), String>;

/// The keys that proxy.toml.example shows. Those of lists of tables have no default there.
pub fn example(text: &str) -> Keys {
    let pair = Regex::new(r"^#?\s*([a-z_]+) = (.*)$").unwrap();
    let header = Regex::new(r"^\[+([a-z_.]+)\]+$").unwrap();
    let (mut section, mut keys) = (String::new(), Keys::new());
    for line in text.lines() {
        let bare = line.trim_start_matches('#').trim();
        if let Some(found) = header.captures(bare) {
            section = found[1].to_owned();
        } else if let Some(found) = pair.captures(line) {
            if section == "groups" {
                continue;
            }
            let shown = found[2].split(" #").next().unwrap().trim_end();
            let is_required = LISTS.contains(&&*section) || !line.starts_with('#');
            let default = if is_required { "required" } else { shown };
            keys.insert((section.clone(), found[1].to_owned()), default.to_owned());
        }
    }
    keys
}

/// One row of the reference.
pub struct Row {
    pub section: String,
    pub key: String,
    pub default: String,
    pub applies: String,
}

/// The rows of the tables of keys, each under the heading of its section.
pub fn rows(page: &Page) -> Vec<Row> {
    let (mut section, mut rows) = (None, Vec::new());
    for (_, text) in &page.paragraphs {
        if let Some(title) = text.strip_prefix("## ") {
            let name = title.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            section = name.map(|name| name.trim_matches(['[', ']']).to_owned());
        } else if let (Some(section), true) = (&section, text.starts_with("| `")) {
            let cells: Vec<&str> = text.trim().trim_matches('|').split(" | ").map(str::trim).collect();
            let code = |cell: &str| cell.trim_matches('`').to_owned();
            let [default, applies] =
                if cells.len() == 5 { [cells[2], cells[3]] } else { ["required", "reload"] };
            rows.push(Row {
                section: section.clone(),
                key: code(cells[0]),
                default: code(default),
                applies: applies.to_owned(),
            });
        }
    }
    rows
}

/// Where the reference and the example differ.
pub fn differences(page: &Page, keys: &Keys) -> Vec<String> {
    let rows = rows(page);
    let mut problems = Vec::new();
    for ((section, key), default) in keys {
        match rows.iter().find(|row| row.section == *section && row.key == *key) {
            None => problems.push(format!("{section}.{key} is missing")),
            Some(row) if row.default != *default => {
                problems.push(format!("{section}.{key} has the default {default}, not {}", row.default));
            }
            Some(row) if row.applies != "reload" && row.applies != "restart" => {
                problems
                    .push(format!("{section}.{key} applies by reload or restart, not by {}", row.applies));
            }
            Some(_) => {}
        }
    }
    let unknown = rows.iter().filter(|row| !keys.contains_key(&(row.section.clone(), row.key.clone())));
    problems.extend(unknown.map(|row| format!("there is no key {}.{}", row.section, row.key)));
    let sections: BTreeSet<&String> = keys.keys().map(|(section, _)| section).collect();
    for section in sections.into_iter().filter(|section| !LISTS.contains(&&***section)) {
        let variable = format!("`TIDEGATE_{}_<KEY>`", section.replace('.', "_").to_uppercase());
        if !page.spans().iter().any(|(_, span)| format!("`{span}`") == variable) {
            problems.push(format!("[{section}] does not name its variables, {variable}"));
        }
    }
    problems
}

/// The keys that a page mentions, as `section.key` or `section.key = value`, and that do not exist.
pub fn unknown_keys(page: &Page, keys: &Keys) -> Vec<String> {
    let written = Regex::new(r"^([a-z_]+(?:\.[a-z_]+)+)( = .+)?$").unwrap();
    let full: BTreeSet<String> = keys.keys().map(|(section, key)| format!("{section}.{key}")).collect();
    let sections: BTreeSet<&str> = keys.keys().map(|(section, _)| section.as_str()).collect();
    let is_about = |name: &str| {
        let (first, rest) = name.split_once('.').unwrap();
        sections.contains(first) && rest != "rs"
    };
    let mut problems = Vec::new();
    for (line, span) in page.spans() {
        let Some(found) = written.captures(&span).filter(|found| is_about(&found[1])) else { continue };
        let name = &found[1];
        if !full.contains(name) && !sections.contains(name) {
            problems.push(format!("{}:{line}: there is no key {name}", page.name));
        }
        if found.get(2).is_some() && !span.contains('…') && span.parse::<toml::Table>().is_err() {
            problems.push(format!("{}:{line}: {span} is not TOML", page.name));
        }
    }
    problems
}

/// What clients say by themselves, in the page about messages.
const CLIENTS_SAY: [&str; 4] = [
    "x509: certificate signed by unknown authority",
    "x509: certificate is valid for …, not …",
    "no basic auth credentials",
    "(92) Stream error in the HTTP/2 framing layer",
];

/// The messages in bold that neither a client nor the program prints; `…` stands for what varies.
pub fn unknown_messages(page: &Page, sources: &Path) -> Vec<String> {
    let mut printed: String = texts(sources).concat();
    let broken = Regex::new(r"\\\n\s*").unwrap();
    printed = broken.replace_all(&printed, "").into_owned();
    let bold = Regex::new(r"(?s)\*\*(.+?)\*\*").unwrap();
    let mut problems = Vec::new();
    for (line, text) in &page.paragraphs {
        for found in bold.captures_iter(text) {
            let heading = found[1].replace('\n', " ");
            let messages = heading.split('`').skip(1).step_by(2).filter(|message| message.contains(' '));
            let messages = messages.filter(|message| !CLIENTS_SAY.contains(message));
            let parts = messages.flat_map(|message| message.split('…')).map(str::trim);
            let unknown = parts.filter(|part| !printed.contains(part));
            problems.extend(unknown.map(|part| format!("{}:{line}: nothing prints {part:?}", page.name)));
        }
    }
    problems
}

/// Every exit code in the sources, which follow sysexits(3), and the two that every program has.
pub fn exit_codes(sources: &Path) -> BTreeSet<String> {
    let code = Regex::new(r"(?:=> |: u8 = )(6[4-9]|7[0-8])\b").unwrap();
    let mut codes = BTreeSet::from(["0".to_owned(), "1".to_owned()]);
    for text in texts(sources) {
        codes.extend(code.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    codes
}

/// The texts of all files in a folder.
fn texts(folder: &Path) -> Vec<String> {
    let (mut folders, mut texts) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push(fs::read_to_string(&path).unwrap());
            }
        }
    }
    texts
}
