//! What is logged about one request.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::text::{self, RFC_3339, clean, timestamp};

/// What is logged about one request; serialized, a line of the JSON access log. No field may hold a
/// secret: only `host` and `user_agent` come from header fields as they were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// When the request began.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// The id of the request.
    #[serde(serialize_with = "cleaned")]
    pub id: String,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client behind trusted proxies, else the peer.
    pub client: IpAddr,
    /// The authenticated user.
    #[serde(serialize_with = "if_known", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user that the client named without proof. Only the name of a user that exists: any other
    /// text may be a password.
    #[serde(serialize_with = "if_known", skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// The name in the client's certificate. The certificate was valid unless `reason` says
    /// otherwise.
    #[serde(serialize_with = "if_known", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The method as sent.
    #[serde(serialize_with = "cleaned")]
    pub method: String,
    /// The host and port that the client asked for, as sent by it or by a trusted proxy.
    #[serde(serialize_with = "authority")]
    pub host: String,
    /// The path without its query, which may hold the state of an upload or a token.
    #[serde(serialize_with = "path")]
    pub path: String,
    /// The protocol of the client's connection.
    #[serde(rename = "protocol", serialize_with = "protocol")]
    pub version: http::Version,
    /// The name of the operation, see [`crate::registry::target::Operation::as_str`].
    pub operation: &'static str,
    /// The repository that the path names.
    #[serde(serialize_with = "if_known", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Tag, digest or upload id.
    #[serde(serialize_with = "if_known", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the request body that were read.
    pub bytes_in: u64,
    /// Bytes of the response body that were handed to the connection.
    pub bytes_out: u64,
    /// From the end of the request's head to the end of the response's body.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// From the end of the request's head to the head of the response.
    #[serde(
        rename = "first_byte_ms",
        serialize_with = "milliseconds_if_known",
        skip_serializing_if = "Option::is_none"
    )]
    pub first_byte: Option<Duration>,
    /// The registry, if it was asked.
    #[serde(serialize_with = "authority_if_known", skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The `User-Agent` field, empty when none was sent.
    #[serde(serialize_with = "cleaned", skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// The end that cut the transfer short.
    #[serde(rename = "cut", skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncated>,
    /// Why tidegate refused the request or left out a part of it, or why the registry refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The end that cut a transfer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Truncated {
    /// The client went away, stalled or sent a malformed body.
    Client,
    /// The registry went away, stalled or sent a malformed body.
    Upstream,
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*time, RFC_3339))
}

fn cleaned<S: Serializer>(field: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clean(field))
}

fn if_known<S: Serializer>(field: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    field.as_deref().map(clean).serialize(serializer)
}

fn authority<S: Serializer>(field: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text::authority(field))
}

fn authority_if_known<S: Serializer>(field: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    field.as_deref().map(text::authority).serialize(serializer)
}

fn path<S: Serializer>(field: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text::path(field))
}

fn protocol<S: Serializer>(version: &http::Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{version:?}"))
}

/// With three decimals.
fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

fn milliseconds_if_known<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}
