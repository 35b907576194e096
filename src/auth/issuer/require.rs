//! What claims must be for somebody to be let in: `auth.issuer.require`.

use regex::Regex;
use serde_json::{Map, Value};

use super::claims::{missing, not};
use super::flaw::Flaw;
use crate::config::{self, Claim, Condition, Wanted};

/// All conditions of an issuer.
pub(super) struct Requirements(Vec<(Claim, Vec<Matcher>)>);

enum Matcher {
    Text(Regex),
    Flag(bool),
    Number(i64),
}

impl Requirements {
    /// # Errors
    /// The text of a condition is too complicated.
    pub(super) fn new(settings: &config::Issuer) -> Result<Self, Claim> {
        let all = settings.require.iter().map(|(claim, Condition(values))| {
            let matchers: Option<Vec<Matcher>> = values.iter().map(Matcher::new).collect();
            Ok((claim.clone(), matchers.ok_or_else(|| claim.clone())?))
        });
        all.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), Flaw> {
        self.0.iter().try_for_each(|(claim, matchers)| {
            let value = claim.of(claims).ok_or_else(|| missing(&claim.to_string()))?;
            if matchers.iter().any(|matcher| matcher.fits(value)) {
                Ok(())
            } else if matchers.iter().any(|matcher| matcher.is_for_type_of(value)) {
                Err(Flaw::Required(claim.to_string()))
            } else {
                Err(not(&claim.to_string(), value, matchers.first().map_or("", Matcher::noun)))
            }
        })
    }
}

impl Matcher {
    fn new(wanted: &Wanted) -> Option<Self> {
        Some(match wanted {
            Wanted::Text(pattern) => Self::Text(expression(pattern)?),
            Wanted::Flag(flag) => Self::Flag(*flag),
            Wanted::Number(number) => Self::Number(*number),
        })
    }

    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Text(pattern) => value.as_str().is_some_and(|text| pattern.is_match(text)),
            Self::Flag(flag) => value.as_bool() == Some(*flag),
            Self::Number(number) => value.as_i64() == Some(*number),
        }
    }

    fn is_for_type_of(&self, value: &Value) -> bool {
        match self {
            Self::Text(_) => value.is_string(),
            Self::Flag(_) => value.is_boolean(),
            Self::Number(_) => value.is_i64() || value.is_u64(),
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a whole number",
        }
    }
}

/// `*` is anything without `/` and `:`, `**` is anything, and the rest stands for itself.
fn expression(pattern: &str) -> Option<Regex> {
    let anything: Vec<String> = pattern
        .split("**")
        .map(|part| part.split('*').map(regex::escape).collect::<Vec<_>>().join("[^/:]*"))
        .collect();
    Regex::new(&format!(r"\A{}\z", anything.join("(?s:.*)"))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_end_where_they_should() {
        for (pattern, good, bad) in [
            ("team/app", &["team/app"][..], &["team/app2", "xteam/app", "team/app\n", "Team/app", ""][..]),
            ("team/*", &["team/app", "team/"], &["team/a/b", "team/a:b", "team", "other/team/app"]),
            ("team/**", &["team/app", "team/a/b:c", "team/a\nb"], &["team", "teams/app"]),
            (
                "repo:o/r:ref:refs/heads/*",
                &["repo:o/r:ref:refs/heads/main"],
                &["repo:o/r:ref:refs/heads/a/b"],
            ),
            ("*/app", &["team/app"], &["a/team/app", "team/app/x"]),
            ("a.b", &["a.b"], &["axb"]),
            ("**", &["", "a/b:c"], &[]),
            ("***", &["", "a/b:c"], &[]),
            ("v*.*", &["v1.2"], &["v12"]),
        ] {
            let expression = expression(pattern).unwrap();
            for text in good {
                assert!(expression.is_match(text), "{pattern} {text}");
            }
            for text in bad {
                assert!(!expression.is_match(text), "{pattern} {text}");
            }
        }
    }

    /// The plain meaning of the stars, in exponential time.
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', b'*', rest @ ..], _) => (0..=text.len()).any(|at| fits(rest, &text[at..])),
            ([b'*', rest @ ..], _) => {
                let end = text.iter().position(|byte| b"/:".contains(byte)).unwrap_or(text.len());
                (0..=end).any(|at| fits(rest, &text[at..]))
            }
            ([first, rest @ ..], [other, left @ ..]) => first == other && fits(rest, left),
            ([], _) => text.is_empty(),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_mean_what_they_say(pattern in "[a/:*.\\[]{0,6}", text in "[a/:.\\[]{0,8}") {
            let expected = fits(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(expression(&pattern).unwrap().is_match(&text), expected);
        }

        #[test]
        fn a_text_without_stars_fits_itself_alone(text in "[^*]{0,20}", other in "[^*]{0,20}") {
            let expression = expression(&text).unwrap();
            prop_assert!(expression.is_match(&text));
            prop_assert_eq!(expression.is_match(&other), text == other);
        }
    }

    #[test]
    fn the_longest_pattern_is_not_too_complicated() {
        assert!(expression(&"*a".repeat(512)).is_some());
        assert!(expression(&"**a".repeat(341)).is_some());
    }
}
