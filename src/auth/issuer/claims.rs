//! The claims that every ID token has (OpenID Connect Core, section 2; RFC 7519).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::flaw::{Flaw, LEEWAY};

/// Checks `iss`, `sub`, `aud` and the dates, and returns `exp`.
pub(super) fn check(
    claims: &Map<String, Value>,
    url: &str,
    audience: &[String],
    now: SystemTime,
) -> Result<u64, Flaw> {
    if text(claims, "iss")? != url {
        // Not reached: this claim has found the issuer.
        return Err(Flaw::Required("iss".to_owned()));
    }
    if text(claims, "sub")?.is_empty() {
        return Err(Flaw::Empty("sub".to_owned()));
    }
    let named = texts("aud", claims.get("aud").ok_or_else(|| missing("aud"))?)?;
    if !named.iter().any(|named| audience.iter().any(|ours| ours == named)) {
        return Err(Flaw::Audience);
    }
    let expires = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    expect_current(expires, now)?;
    for claim in ["nbf", "iat"] {
        if time(claims, claim)?.is_some_and(|time| time > seconds(now).saturating_add(LEEWAY)) {
            return Err(Flaw::Early(claim));
        }
    }
    Ok(expires)
}

/// Refuses a token that has expired.
pub(super) fn expect_current(expires: u64, now: SystemTime) -> Result<(), Flaw> {
    if seconds(now) > expires.saturating_add(LEEWAY) { Err(Flaw::Expired) } else { Ok(()) }
}

/// The texts of a claim that is a text or a list of texts.
pub(super) fn texts<'c>(claim: &str, value: &'c Value) -> Result<Vec<&'c str>, Flaw> {
    let list = match value {
        Value::String(text) => return Ok(vec![text]),
        Value::Array(list) => list,
        other => return Err(not(claim, other, "a text or a list of texts")),
    };
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| Flaw::Type {
        claim: claim.to_owned(),
        found: "a list with something else in it",
        wanted: "a text or a list of texts",
    })
}

pub(super) fn missing(claim: &str) -> Flaw {
    Flaw::Missing(claim.to_owned())
}

/// The flaw of a claim that has another type.
pub(super) fn not(claim: &str, found: &Value, wanted: &'static str) -> Flaw {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Flaw::Type { claim: claim.to_owned(), found, wanted }
}

fn text<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, Flaw> {
    match claims.get(claim) {
        None => Err(missing(claim)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(not(claim, other, "a text")),
    }
}

/// Seconds since 1970; the fraction that RFC 7519 allows does not count.
fn time(claims: &Map<String, Value>, claim: &str) -> Result<Option<u64>, Flaw> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let whole = value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| *number >= 0.0 && *number < 1e15)?;
        Some(number as u64)
    });
    whole.map(Some).ok_or_else(|| not(claim, value, "a time in seconds since 1970"))
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
