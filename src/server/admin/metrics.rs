//! The answer of `/metrics`, in the text format that the client prefers.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use super::text::{of_type, sentence};

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);

/// The metrics in OpenMetrics' text format if `Accept` prefers it, else in that of Prometheus.
pub(super) fn answer(registry: &Registry, headers: &HeaderMap) -> Response<Bytes> {
    let mut body = String::new();
    let (kind, written) = if prefers_open_metrics(headers) {
        (OPEN_METRICS, text::encode(&mut body, registry))
    } else {
        (PROMETHEUS, prometheus_text::encode(&mut body, registry))
    };
    match written {
        Ok(()) => of_type(StatusCode::OK, kind, body),
        Err(_) => sentence(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
    }
}

fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT).iter().filter_map(|field| field.to_str().ok());
    let ranges = fields.flat_map(|field| field.split(',')).map(range);
    // The weights of the best range for each; any other text stands for that of Prometheus.
    let (mut open, mut plain) = (0.0_f32, 0.0_f32);
    for (name, weight) in ranges {
        match name.as_str() {
            "application/openmetrics-text" => open = open.max(weight),
            "text/plain" | "text/*" | "*/*" => plain = plain.max(weight),
            _ => {}
        }
    }
    open > plain
}

/// The media range and its weight (RFC 9110, section 12.5.1).
fn range(range: &str) -> (String, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
    });
    (name, weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_accept_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, open) in [
            (prometheus_2, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; Q=0.8, text/plain ;q=0.7", true),
            ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=x", false),
            ("text/html,*/*;q=0.8", false),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_open_metrics(&headers), open, "{accept}");
        }
        assert!(!prefers_open_metrics(&HeaderMap::new()));
    }
}
