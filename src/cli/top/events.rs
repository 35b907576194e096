//! The events of `/api/events` (HTML standard, "Server-sent events"), each one a status.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{Duration, timeout};

/// Most bytes of one event.
const LONGEST: usize = 4 << 20;

/// Longest wait for an event; one comes each second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The statuses of one stream.
pub(super) struct Events {
    body: Incoming,
    /// What has come after the last whole line.
    rest: Vec<u8>,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new() }
    }

    /// The next status.
    ///
    /// # Errors
    /// Why there is no further status on this stream.
    pub(super) async fn next(&mut self) -> Result<Value, &'static str> {
        timeout(PATIENCE, self.read()).await.unwrap_or(Err("no status for 10 s"))
    }

    async fn read(&mut self) -> Result<Value, &'static str> {
        loop {
            while let Some(line) = take_line(&mut self.rest) {
                if let Some(data) = line.strip_prefix(b"data:") {
                    return serde_json::from_slice(data).map_err(|_| "the status cannot be read");
                }
            }
            let frame = self.body.frame().await.ok_or("the stream ended")?;
            let frame = frame.map_err(|_broken| "the connection broke")?;
            if let Some(data) = frame.data_ref() {
                self.rest.extend_from_slice(data);
            }
            if self.rest.len() > LONGEST {
                return Err("the status is too long");
            }
        }
    }
}

/// The first whole line, without its end.
fn take_line(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut line: Vec<u8> = bytes.drain(..=end).collect();
    line.truncate(line.trim_ascii_end().len());
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_taken() {
        let mut bytes = b"data: {}\r\n\r\n: note\ndata".to_vec();
        let lines: Vec<Vec<u8>> = std::iter::from_fn(|| take_line(&mut bytes)).collect();
        assert_eq!(lines, [&b"data: {}"[..], b"", b": note"]);
        assert_eq!(bytes, b"data");
    }
}
