//! Who a token is for: the user and the groups that its claims make.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::claims::{missing, not, texts};
use super::flaw::Flaw;
use crate::config::{self, Part};
use crate::user::{Groups, User};

/// Bytes of a user, with the name of the issuer.
const LONGEST: usize = 1024;

pub(super) fn user(settings: &config::Issuer, claims: &Map<String, Value>) -> Result<User, Flaw> {
    let mut name = format!("{}:", settings.name);
    for part in settings.user.parts() {
        match part {
            Part::Text(text) => name.push_str(text),
            Part::Claim(claim) => {
                let value = claim.of(claims).ok_or_else(|| missing(&claim.to_string()))?;
                match value {
                    Value::String(text) if text.is_empty() => return Err(Flaw::Empty(claim.to_string())),
                    Value::String(text) => name.push_str(text),
                    Value::Number(number) if !number.is_f64() => name.push_str(&number.to_string()),
                    other => return Err(not(&claim.to_string(), other, "a text or a whole number")),
                }
            }
        }
        if name.len() > LONGEST {
            return Err(Flaw::LongUser(LONGEST));
        }
    }
    User::parse(name).map_err(Flaw::User)
}

/// Those that are `wanted`. A token without the claim has none.
pub(super) fn groups(
    settings: &config::Issuer,
    claims: &Map<String, Value>,
    wanted: &BTreeSet<String>,
) -> Result<Groups, Flaw> {
    let Some(claim) = &settings.groups else { return Ok(Groups::default()) };
    let Some(value) = claim.of(claims) else { return Ok(Groups::default()) };
    Ok(Groups::of(&settings.name, texts(&claim.to_string(), value)?, wanted))
}
