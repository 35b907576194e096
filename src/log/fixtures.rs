//! A record for tests.

use std::time::{Duration, SystemTime};

use http::Version;

use super::record::{Record, Truncated};
use crate::metrics::TlsSession;

/// The record of a chunk of an upload that the client cut short.
pub(super) fn record() -> Record {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_042),
        peer: "10.0.0.1".parse().unwrap(),
        client: "2001:db8::1".parse().unwrap(),
        user: Some("alice".to_owned()),
        source: None,
        claimed: None,
        certificate: None,
        method: "PATCH".to_owned(),
        path: "/v2/team/app/blobs/uploads/u-1".to_owned(),
        version: Version::HTTP_2,
        tls: TlsSession::Tls13Resumed,
        host: "registry.example.com:5043".to_owned(),
        operation: "upload-chunk",
        repository: Some("team/app".to_owned()),
        reference: Some("u-1".to_owned()),
        status: 202,
        bytes_in: 1 << 40,
        bytes_out: 17,
        duration: Duration::from_micros(1_234_567),
        first_byte: Some(Duration::from_micros(1_500)),
        upstream: Some("http://registry:5000".into()),
        upstream_address: None,
        upstream_time: Some(Duration::from_micros(1_400)),
        retries: Some(1),
        digest: None,
        user_agent: "docker/27.3.1 go/go1.22.7".to_owned(),
        truncated: Some(Truncated::Client),
        id: "01j".to_owned(),
        trace_id: None,
        reason: None,
    }
}
