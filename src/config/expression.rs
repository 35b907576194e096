//! Values in languages that other crates read: regular expressions and log directives.

use regex::bytes::Regex;
use tracing_subscriber::EnvFilter;

use super::keys::nearest;
use super::quote::quoted;

/// Directives of `EnvFilter`, as they are; the error says what is wrong with them.
pub(super) fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // EnvFilter takes a word that is no level for the name of a module and then logs only that.
    let plain = |directive: &&str| !directive.contains(['=', '[', ']', '{', '}']);
    let mut words = text.split(',').map(str::trim);
    if let Some(word) =
        words.clone().filter(plain).find(|word| !LEVELS.contains(&word.to_lowercase().as_str()))
    {
        return Err(match nearest(word, LEVELS.into_iter()) {
            Some(near) => format!("{} is no level; did you mean {near:?}?", quoted(word)),
            None => format!("{} is no level", quoted(word)),
        });
    }
    if words.all(str::is_empty) {
        return Err(String::new());
    }
    EnvFilter::builder().parse(text).map_err(|error| one_line(&error.to_string()))?;
    Ok(text.to_owned())
}

/// A regular expression; the error is its own complaint on one line.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let complaint = error.lines().find_map(|line| line.trim().strip_prefix("error: "));
        let complaint = complaint.map_or_else(|| one_line(&error), str::to_owned);
        if complaint.contains("look-around") {
            format!("{complaint}; put what is to pass into user_agents.allow")
        } else {
            complaint
        }
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
