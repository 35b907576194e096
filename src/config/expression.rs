//! Values that other crates parse: regular expressions and log directives.

use regex::bytes::Regex;
use tracing_subscriber::EnvFilter;

use super::complaint::Complaint;
use super::quote::quoted;
use super::words::nearest;

/// Checks directives of `EnvFilter` and returns them unchanged.
pub(super) fn level(text: &str) -> Result<String, Complaint> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // EnvFilter reads an unknown word as the name of a module and then logs only that module.
    // Its parser may panic on a word that is longer or shorter in lower case.
    if !text.is_ascii() {
        return Err(format!("{} is not ASCII", quoted(text)).into());
    }
    let plain = |directive: &&str| !directive.contains(['=', '[', ']', '{', '}']);
    let mut words = text.split(',').map(str::trim);
    if let Some(word) =
        words.clone().filter(plain).find(|word| !LEVELS.contains(&word.to_lowercase().as_str()))
    {
        let advice = nearest(word, LEVELS.into_iter()).map(|near| format!("; did you mean {near:?}?"));
        return Err(format!("{} is not a level{}", quoted(word), advice.unwrap_or_default()).into());
    }
    if words.all(str::is_empty) {
        return Err(Complaint::Shape);
    }
    EnvFilter::builder().parse(text).map_err(|error| one_line(&error.to_string()))?;
    Ok(text.to_owned())
}

/// Parses a regular expression. Returns the error of `regex` on one line.
pub(super) fn regex(text: &str) -> Result<Regex, Complaint> {
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let complaint = error.lines().find_map(|line| line.trim().strip_prefix("error: "));
        let complaint = complaint.map_or_else(|| one_line(&error), str::to_owned);
        let is_exception = complaint.contains("look-around");
        let advice = if is_exception { "; put the exceptions into user_agents.allow" } else { "" };
        (complaint + advice).into()
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_for_a_module_with_another_letter_than_ascii_is_refused() {
        assert!(level("info,tidegate::tls=debug").is_ok());
        assert!(level("info,tidegate::\u{e4}=debug").is_err());
    }
}
