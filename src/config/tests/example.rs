//! proxy.toml.example is correct: it parses, it has every key, and it shows the real defaults.

use super::super::keys::{ACCESS, ISSUER, Key, LISTS, ROUTE, Standing};
use super::*;

const EXAMPLE: &str = include_str!("../../../proxy.toml.example");

/// The `key = value` of a line, commented out or not, without the explanation after it.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_key.then(|| (key, value.split(" #").next().unwrap_or_default().trim_end()))
}

fn uncommented() -> String {
    let lines =
        EXAMPLE.lines().map(|line| if pair(line).is_some() { line.trim_start_matches("# ") } else { line });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn it_parses_as_it_is_and_with_every_key_uncommented() {
    let text = uncommented();
    assert!(!text.contains("\n# listen") && text.contains("\nlisten = ["), "{text}");
    assert_eq!(parse(EXAMPLE).unwrap(), parse(&text).unwrap());
    let minimal = parse("[tls]\ncertificate = \"certs/domain.crt\"\nkey = \"certs/domain.key\"\n").unwrap();
    assert_eq!(parse(EXAMPLE).unwrap(), minimal);
}

#[test]
fn it_shows_every_key_with_its_default_and_no_other() {
    const CERTIFICATE_ENTRY: &str = "tls.certificates";
    let mut section = "";
    let mut shown = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = pair(line) {
            shown.push((section, key, value, line.starts_with('#')));
        }
    }
    let known = known().0;
    let supported: Vec<_> = known
        .iter()
        .filter(|key| key.section != CERTIFICATE_ENTRY && !LISTS.contains(&key.section))
        .map(|key| {
            let Key { section, name, standing } = key;
            match standing {
                Standing::Default(default) => (*section, name.as_str(), *default, true),
                Standing::Required if name == "certificate" => {
                    (*section, name.as_str(), r#""certs/domain.crt""#, false)
                }
                Standing::Required => (*section, name.as_str(), r#""certs/domain.key""#, false),
            }
        })
        .collect();
    assert_eq!(shown, supported);
}

#[test]
fn its_rules_routes_and_groups_hold_every_key_and_mean_what_they_say() {
    let shown: String = EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .map(|line| format!("\n{line}"))
        .collect();
    let config = parse(&format!("{EXAMPLE}\n{shown}")).unwrap();
    assert!(config.access.len() > 1, "{shown}");
    assert_eq!(config.warnings, []);
    for key in known().0.iter().filter(|key| key.section == ACCESS) {
        let rules = shown.split("\n[[").filter(|entry| entry.starts_with(ACCESS));
        let with_key = rules.filter(|rule| rule.contains(&format!("{} = [", key.name)));
        assert_eq!(with_key.count(), config.access.len(), "{key:?}");
    }
    assert_eq!(config.routes.len(), 2, "{shown}");
    for key in known().0.iter().filter(|key| key.section == ROUTE) {
        let mut routes = shown.split("\n[[").filter(|entry| entry.starts_with(ROUTE));
        assert!(routes.any(|route| route.contains(&format!("\n{} = ", key.name))), "{key:?}");
    }
    assert_eq!(config.auth.issuers.len(), 2, "{shown}");
    for key in known().0.iter().filter(|key| key.section == ISSUER) {
        let mut issuers = shown.split("\n[[").filter(|entry| entry.starts_with(ISSUER));
        assert!(issuers.any(|issuer| issuer.contains(&format!("\n{} = ", key.name))), "{key:?}");
    }
}
