//! The trace that a request belongs to: W3C Trace Context, section 3.2.
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

use http::header::{HeaderMap, HeaderName};

use super::single::single;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The digits of a trace id, of a parent id, and of flags.
const TRACE: usize = 32;
const PARENT: usize = 16;
const FLAGS: usize = 2;

/// The id of a trace: 32 lower-case hexadecimal digits, not all of them 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; TRACE]);

impl TraceId {
    /// The trace id of the only `traceparent` of a request; `None` if there is none that is valid.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        parse(single(headers, &TRACEPARENT)?.as_bytes())
    }

    pub(crate) fn as_str(&self) -> &str {
        // They are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Reads version 00, and later ones as section 3.2.4 says: what they add comes after another dash.
fn parse(value: &[u8]) -> Option<TraceId> {
    let (version, rest) = field::<2>(value)?;
    let (trace, rest) = field::<TRACE>(rest.strip_prefix(b"-")?)?;
    let (parent, rest) = field::<PARENT>(rest.strip_prefix(b"-")?)?;
    let (_flags, rest) = field::<FLAGS>(rest.strip_prefix(b"-")?)?;
    let ends = match version {
        b"ff" => false,
        b"00" => rest.is_empty(),
        _ => matches!(rest, [] | [b'-', ..]),
    };
    let is_zero = |digits: &[u8]| digits.iter().all(|&digit| digit == b'0');
    (ends && !is_zero(trace) && !is_zero(parent)).then_some(TraceId(*trace))
}

/// Takes `N` lower-case hexadecimal digits off the front.
fn field<const N: usize>(value: &[u8]) -> Option<(&[u8; N], &[u8])> {
    let (digits, rest) = value.split_first_chunk()?;
    let is_hex = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(is_hex).then_some((digits, rest))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const REST: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn read(values: &[&str]) -> Option<String> {
        TraceId::of(&headers(values)).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn valid_ones() {
        for value in [
            format!("00-{REST}-01"),
            format!("00-{REST}-00"),
            format!("00-{REST}-ff"),
            // Later versions.
            format!("01-{REST}-01"),
            format!("cc-{REST}-01-what-the-future-will-be-like"),
            format!("fe-{REST}-01-"),
            format!("01-{REST}-01-ÜBER"),
        ] {
            assert_eq!(read(&[&value]).as_deref(), Some(TRACE_ID), "{value}");
        }
        let nearly_zero = format!("{:032}", 1);
        let value = format!("00-{nearly_zero}-{:016}-00", 1);
        assert_eq!(read(&[&value]), Some(nearly_zero));
    }

    #[test]
    fn invalid_ones() {
        let zeros = "0".repeat(32);
        for value in [
            String::new(),
            "00".to_owned(),
            format!("00-{REST}"),
            format!("00-{REST}-"),
            format!("00-{REST}-1"),
            // Version 00 ends after the flags.
            format!("00-{REST}-01-"),
            format!("00-{REST}-01-x"),
            format!("00-{REST}-011"),
            format!("00-{REST}-01 "),
            format!(" 00-{REST}-01"),
            // Later versions go on after a dash.
            format!("cc-{REST}-01.what"),
            format!("cc-{REST}-012"),
            format!("01-{REST}"),
            // Not a version.
            format!("ff-{REST}-01"),
            format!("FF-{REST}-01"),
            format!("0-{REST}-01"),
            format!("000-{REST}-01"),
            format!(".0-{REST}-01"),
            format!("0g-{REST}-01"),
            // Digits are in lower case.
            format!("00-{}-01", REST.to_uppercase()),
            format!("00-{}-0A", REST),
            format!("00-{}-01", REST.replacen('f', "F", 1)),
            // Other lengths, other separators, other digits.
            format!("00-0{REST}-01"),
            format!("00-{}-01", &REST[1..]),
            format!("00-{REST}0-01"),
            format!("00_{REST}-01"),
            format!("00-{}-01", REST.replace('-', "_")),
            format!("00-{REST}_01"),
            format!("00-{}-01", REST.replacen('f', "g", 1)),
            format!("00-{}-.0", REST),
            // Nothing but zeros.
            format!("00-{zeros}-b7ad6b7169203331-01"),
            format!("00-{TRACE_ID}-{}-01", &zeros[..16]),
        ] {
            assert_eq!(read(&[&value]), None, "{value}");
        }
    }

    #[test]
    fn more_than_one_says_nothing() {
        let value = format!("00-{REST}-01");
        assert_eq!(read(&[&value, &value]), None);
        assert_eq!(read(&[&value, "x"]), None);
        assert_eq!(read(&[&format!("{value},{value}")]), None);
        assert_eq!(read(&[]), None);
    }

    proptest! {
        /// The grammar as one expression.
        #[test]
        fn as_the_recommendation_says(value in "(00|0[0-9a-gA]|f[ef]|cc)-[0a-fg]{31,33}-[0-9a]{16}-(0[01]|[fg]{2})(-[a-z]?|[ .x])?") {
            let pattern = regex::Regex::new(
                "^(?:00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}|[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?)$",
            )
            .unwrap();
            let all_zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
            let found = pattern.captures(&value).and_then(|found| {
                let is_bad = value.starts_with("ff") || value.starts_with("00") && value.len() != 55;
                let trace = found.get(1).or_else(|| found.get(2))?.as_str();
                (!is_bad && !all_zero(trace) && !all_zero(&value[36..52])).then(|| trace.to_owned())
            });
            prop_assert_eq!(read(&[&value]), found);
        }

        #[test]
        fn any_bytes(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(id) = parse(&value) {
                prop_assert!(id.as_str().len() == 32);
            }
        }
    }
}
