//! The answer of `/metrics`, in the text format that the client prefers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use super::text::{of_type, sentence};
use crate::header::accept::{Offer, prefers};

/// What every Prometheus reads.
const USUAL: Offer<'_> = Offer { media_type: "text/plain", version: "0.0.4" };
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OTHER: Offer<'_> = Offer { media_type: "application/openmetrics-text", version: "1.0.0" };

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);

/// The metrics in OpenMetrics' text format if `Accept` prefers it, else in that of Prometheus.
pub(super) fn answer(registry: &Registry, headers: &HeaderMap) -> Response<Bytes> {
    let mut body = String::new();
    let (kind, written) = if prefers(headers, OTHER, USUAL) {
        (OPEN_METRICS, text::encode(&mut body, registry))
    } else {
        (PROMETHEUS, prometheus_text::encode(&mut body, registry))
    };
    match written {
        Ok(()) => of_type(StatusCode::OK, kind, body),
        Err(_) => sentence(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
    }
}
