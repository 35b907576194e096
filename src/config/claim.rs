//! How settings name the claims of a token, and make a text of them.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::complaint::Complaint;

/// Bytes of the name of a claim.
const LONGEST: usize = 256;
const OPENING: &str = "${";
const CLOSING: char = '}';

/// A claim: its name, or a JSON pointer into nested claims (RFC 6901), which begins with a slash.
/// Printable ASCII without quotes, backslashes and braces, so it can be part of any message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim(String);

/// A text with claims in it, such as `${project_path}`. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A text that stands for itself.
    Text(String),
    /// The place of a claim.
    Claim(Claim),
}

impl Claim {
    /// The value of the claim, if the token has it.
    pub(crate) fn of<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let Some(pointer) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let (first, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
        claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
    }

    /// Whether this is the claim of this name, which has no slash.
    pub(super) fn is(&self, name: &str) -> bool {
        self.0.strip_prefix('/').unwrap_or(&self.0) == name
    }
}

impl FromStr for Claim {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"\\{}".contains(&byte);
        let is_escaped = |after: &str| after.starts_with(['0', '1']);
        if text.is_empty() {
            Err("the name of a claim is empty".into())
        } else if text.len() > LONGEST {
            Err("the name of a claim is too long".into())
        } else if !text.bytes().all(fits) {
            Err("the name of a claim is printable ASCII without spaces, quotes, backslashes and braces"
                .into())
        } else if text.starts_with('/') && !text.split('~').skip(1).all(is_escaped) {
            Err("in a JSON pointer, ~ is written ~0".into())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// As it is written.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Template {
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether it has the claim of this name.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Claim(claim) if claim.is(name)))
    }
}

impl FromStr for Template {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once(OPENING) {
            let (claim, after) = behind.split_once(CLOSING).ok_or("a ${ has no }")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Claim(claim.parse()?));
            rest = after;
        }
        if parts.is_empty() {
            return Err("without a claim, all tokens would be the same user".into());
        }
        if text.contains(char::is_control) {
            return Err("a user name cannot hold a control character".into());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Claim(claim) => write!(f, "{OPENING}{claim}{CLOSING}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_name_or_a_pointer() {
        let claims = json!({
            "sub": "x", "https://a.test/role": "r", "~": 1,
            "kubernetes.io": { "namespace": "ci", "a/b": [5, 6], "": "empty" },
        });
        let claims = claims.as_object().unwrap();
        for (name, expected) in [
            ("sub", Some(json!("x"))),
            ("/sub", Some(json!("x"))),
            ("https://a.test/role", Some(json!("r"))),
            ("/https:~1~1a.test~1role", Some(json!("r"))),
            ("/~0", Some(json!(1))),
            ("/kubernetes.io/namespace", Some(json!("ci"))),
            ("/kubernetes.io/a~1b/1", Some(json!(6))),
            ("/kubernetes.io/", Some(json!("empty"))),
            ("kubernetes.io/namespace", None),
            ("/", None),
            ("/sub/x", None),
            ("/kubernetes.io/a~1b/9", None),
        ] {
            let claim: Claim = name.parse().unwrap();
            assert_eq!(claim.of(claims), expected.as_ref(), "{name}");
        }
        for bad in ["", "a b", "a\"", "ä", "a\n", "/a~2", "/~", "a}", &"a".repeat(257)] {
            assert!(bad.parse::<Claim>().is_err(), "{bad:?}");
        }
        assert!(
            "/email".parse::<Claim>().unwrap().is("email") && !"mail".parse::<Claim>().unwrap().is("email")
        );
    }

    #[test]
    fn a_template_without_a_claim_or_an_end_is_refused() {
        for bad in ["", "ci", "$sub", "${sub", "${}", "a\n${sub}", "${a b}"] {
            assert!(bad.parse::<Template>().is_err(), "{bad:?}");
        }
        let template: Template = "${a}/x$${/b/c}}".parse().unwrap();
        assert_eq!(template.parts().len(), 4);
        assert!(template.uses("a") && !template.uses("b"));
    }

    proptest! {
        #[test]
        fn a_template_is_printed_as_it_is_written(text in "[a$ {}/~é\"]{0,30}") {
            if let Ok(template) = text.parse::<Template>() {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
