//! The `Accept` field: RFC 9110 section 12.5.1.

use http::HeaderMap;
use http::header::ACCEPT;

/// Quality values are counted in thousandths, as precisely as they can be written.
const MOST: u16 = 1000;
/// Media ranges of one request that are read. Clients send a handful.
const RANGES: usize = 32;

/// A media type on offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// Such as `text/plain`, in lower case.
    pub media_type: &'a str,
    /// Its parameter `version`. A range with another one means something else.
    pub version: &'a str,
}

/// Whether the client prefers `other` to `usual`. It does not if it has no preference, or accepts
/// neither.
pub(crate) fn prefers(headers: &HeaderMap, other: Offer<'_>, usual: Offer<'_>) -> bool {
    quality(headers, other) > quality(headers, usual)
}

/// The quality of an offer, from 0 to 1000: that of the most specific range that includes it. 1000
/// without the field.
fn quality(headers: &HeaderMap, offer: Offer<'_>) -> u16 {
    if !headers.contains_key(ACCEPT) {
        return MOST;
    }
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| split(line, ',')).filter(|range| !range.is_empty()).take(RANGES);
    // Of two ranges that are equally specific, the better one counts.
    ranges.filter_map(|range| of_range(range, offer)).max().map_or(0, |(_, quality)| quality)
}

/// How specific a range is that includes the offer, and its quality.
fn of_range(range: &str, offer: Offer<'_>) -> Option<(u8, u16)> {
    let mut parts = split(range, ';');
    let name = parts.next()?.to_ascii_lowercase();
    let (kind, subtype) = name.split_once('/')?;
    let (kind_offered, subtype_offered) = offer.media_type.split_once('/')?;
    let mut specific = match (kind, subtype) {
        ("*", "*") => 0,
        (kind, "*") if kind == kind_offered => 1,
        (kind, subtype) if kind == kind_offered && subtype == subtype_offered => 2,
        _ => return None,
    };
    let mut quality = MOST;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        if name.eq_ignore_ascii_case("q") {
            quality = weight(value)?;
        } else if name.eq_ignore_ascii_case("version") {
            if value != offer.version {
                return None;
            }
            specific += 1;
        }
    }
    Some((specific, quality))
}

/// Reads `0`, `0.5`, `.5` or `1.000`.
fn weight(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{rest:0<3}").parse::<u16>().ok()?;
    match whole {
        "" | "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(MOST),
        _ => None,
    }
}

/// The parts between separators outside of quotes, trimmed.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    text.split(move |c| {
        in_quotes ^= c == '"';
        c == separator && !in_quotes
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OPEN_METRICS: Offer<'_> = Offer { media_type: "application/openmetrics-text", version: "1.0.0" };
    const TEXT: Offer<'_> = Offer { media_type: "text/plain", version: "0.0.4" };

    fn prefers_open_metrics(lines: &[&str]) -> bool {
        let lines = lines.iter().map(|line| (ACCEPT, HeaderValue::from_str(line).unwrap()));
        prefers(&HeaderMap::from_iter(lines), OPEN_METRICS, TEXT)
    }

    #[test]
    fn what_scrapers_send() {
        for line in [
            // Prometheus 2.42 and 3.5.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            "application/openmetrics-text; version=\"1.0.0\"",
            "Application/OpenMetrics-Text, text/plain;q=.9",
            "application/*, text/*;q=0.5",
            "text/plain;q=0, */*",
            "text/plain;version=1.0.0, application/openmetrics-text;q=0.1",
        ] {
            assert!(prefers_open_metrics(&[line]), "{line}");
        }
        for line in [
            "*/*",
            "",
            "text/plain",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "application/openmetrics-text;q=0.4, */*",
            "application/openmetrics-text, text/plain",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            "application/openmetrics-text;q=2, text/plain;q=0.1",
            "x=\"application/openmetrics-text\"",
        ] {
            assert!(!prefers_open_metrics(&[line]), "{line}");
        }
        assert!(!prefers_open_metrics(&[]));
        assert!(prefers_open_metrics(&["text/plain;q=0.1", "application/openmetrics-text;q=0.2"]));
    }

    #[test]
    fn the_most_specific_range_counts() {
        assert!(!prefers_open_metrics(&[
            "application/openmetrics-text;q=0.1, application/*, text/plain;q=0.5"
        ]));
        assert!(!prefers_open_metrics(&["*/*, application/openmetrics-text;version=1.0.0;q=0.2"]));
    }

    #[test]
    fn weights() {
        for (text, weight) in
            [("0", Some(0)), ("0.5", Some(500)), (".75", Some(750)), ("1", Some(1000)), ("1.000", Some(1000))]
        {
            assert_eq!(super::weight(text), weight, "{text}");
        }
        for text in ["1.001", "2", "-1", "0.1234", "0.x", "", "1e0"] {
            assert!(super::weight(text).is_none_or(|_| text.is_empty()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in "[ -~]{0,80}", parts in "([a-z*/;,=q.0-9\" ]|text/plain){0,40}") {
            prefers_open_metrics(&[&line, &parts]);
        }
    }
}
