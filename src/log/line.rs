//! A record as one line of text: JSON, or Apache's combined format.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::Version;

use super::object::{Object, key};
use super::record::{Record, Truncated};
use super::text::{authority, clean, common, escaped, microseconds, path, rfc_3339};
use crate::header::traceparent::TraceId;
use crate::network::address_text;

impl Record {
    /// One JSON object, without a line feed. Unknown values are left out; control characters are
    /// escaped.
    pub(crate) fn json(&self) -> String {
        let mut line = Object::new();
        line.plain(key!("time"), &rfc_3339(self.time));
        line.text(key!("id"), &self.id);
        line.text_if_known(key!("trace_id"), self.trace_id.as_ref().map(TraceId::as_str));
        let peer = address_text(self.peer);
        line.plain(key!("peer"), &peer);
        if self.client == self.peer {
            line.plain(key!("client"), &peer);
        } else {
            line.plain(key!("client"), &address_text(self.client));
        }
        line.client_text_if_known(key!("user"), self.user.as_deref());
        line.text_if_known(key!("source"), self.source.as_deref());
        line.client_text_if_known(key!("claimed"), self.claimed.as_deref());
        line.client_text_if_known(key!("certificate"), self.certificate.as_deref());
        line.client_text(key!("method"), &self.method, clean);
        line.client_text(key!("host"), &self.host, authority);
        line.client_text(key!("path"), &self.path, path);
        line.plain(key!("protocol"), protocol(self.version));
        line.plain(key!("tls_version"), self.tls.as_str());
        line.number(key!("tls_resumed"), self.tls.is_resumed());
        line.plain(key!("operation"), self.operation);
        line.client_text_if_known(key!("repository"), self.repository.as_deref());
        line.client_text_if_known(key!("reference"), self.reference.as_deref());
        line.client_text_if_known(key!("digest"), self.digest.as_deref());
        line.integer(key!("status"), self.status);
        line.integer(key!("bytes_in"), self.bytes_in);
        line.integer(key!("bytes_out"), self.bytes_out);
        line.thousandths(key!("duration_ms"), microseconds(self.duration));
        if let Some(first_byte) = self.first_byte {
            line.thousandths(key!("first_byte_ms"), microseconds(first_byte));
        }
        if let Some(upstream) = self.upstream.as_deref() {
            line.client_text(key!("upstream"), upstream, authority);
        }
        if let Some(address) = self.upstream_address {
            line.text(key!("upstream_address"), &address.to_string());
        }
        if let Some(upstream_time) = self.upstream_time {
            line.thousandths(key!("upstream_ms"), microseconds(upstream_time));
        }
        if let Some(retries) = self.retries {
            line.integer(key!("retries"), retries);
        }
        let user_agent = Some(&*self.user_agent).filter(|agent| !agent.is_empty());
        line.client_text_if_known(key!("user_agent"), user_agent);
        line.text_if_known(key!("cut"), self.truncated.map(Truncated::as_str));
        line.text_if_known(key!("reason"), self.reason.as_deref());
        line.end()
    }

    /// One line of Apache's combined format, without a line feed and always without a referrer.
    /// Control characters, quotes and backslashes are escaped as Apache does.
    pub(crate) fn combined(&self) -> String {
        let user = match self.user.as_deref() {
            None => Cow::Borrowed("-"),
            Some("") => Cow::Borrowed("\"\""),
            // A space would shift all fields after it.
            Some(user) => Cow::Owned(escaped(&clean(user)).replace(' ', "\\x20")),
        };
        let mut line = String::with_capacity(256);
        // Writing to a String does not fail.
        let _ = write!(
            line,
            "{client} - {user} [{time}] \"{method} {path} {version}\" {status} ",
            client = self.client,
            time = common(self.time),
            method = escaped(&clean(&self.method)),
            path = escaped(&path(&self.path)),
            version = protocol(self.version),
            status = self.status,
        );
        match self.bytes_out {
            0 => line.push('-'),
            bytes => line.push_str(&bytes.to_string()),
        }
        let agent = match self.user_agent.as_str() {
            "" => Cow::Borrowed("-"),
            agent => Cow::Owned(escaped(&clean(agent))),
        };
        let _ = write!(line, " \"-\" \"{agent}\"");
        line
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_11 => "HTTP/1.1",
        _ => "HTTP/1.0",
    }
}

#[cfg(test)]
mod tests;
