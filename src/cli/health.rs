//! `tidegate health`

use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{Response, StatusCode};
use serde::Deserialize;
use tokio::runtime::Builder;

use super::admin_client::{Client, ClientError};
use super::exit::{OS_ERROR, complain, finish};
use super::settings_file::SettingsFile;
use crate::config::{AdminAddress, Config};
use crate::problem::Problems;

/// It is not healthy, or not ready.
const SICK: u8 = 1;
/// sysexits(3): a mistake in the settings.
const CONFIG: u8 = 78;

/// Ask a running tidegate whether it is healthy
///
/// Asks the first address of server.admin that can be reached. For health checks of containers: it
/// needs no shell, and reads nothing but the settings. Exits with 0 if tidegate is healthy, with 1
/// if it is not or does not answer.
#[derive(Args)]
pub(super) struct Health {
    #[command(flatten)]
    settings: SettingsFile,
    /// Ask whether clients should be sent to it
    ///
    /// It is not ready while the registry is down (see server.readiness), while there is no
    /// certificate from ACME yet, and while it stops.
    #[arg(long)]
    ready: bool,
}

/// Why the answer is not yes.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("{0}")]
    Settings(Problems),
    #[error(
        "server.admin is not set in {0}, so nothing answers; write admin = [\"127.0.0.1:9443\"] in [server], and start \
         tidegate again"
    )]
    NoAddress(String),
    #[error(
        "server.admin is {0}, and the system chose a port that only the log of tidegate names; write a fixed port"
    )]
    AnyPort(AdminAddress),
    #[error(transparent)]
    NoAnswer(#[from] ClientError),
    #[error("{address}: {why}")]
    Sick { address: String, why: String },
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl HealthError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(problems) => problems.exit_code(),
            Self::NoAddress(_) | Self::AnyPort(_) => CONFIG,
            Self::NoAnswer(_) | Self::Sick { .. } => SICK,
            Self::System(_) => OS_ERROR,
        }
    }
}

impl Health {
    pub(super) fn run(self) -> ExitCode {
        finish(ask(&self.settings.path(), self.ready), HealthError::exit_code)
    }
}

fn ask(path: &Path, ready: bool) -> Result<String, HealthError> {
    let addresses = Config::admin_addresses(path).map_err(HealthError::Settings)?;
    let (fixed, any_port): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| !matches!(address, AdminAddress::Tcp(address) if address.port() == 0));
    if fixed.is_empty() {
        return Err(any_port.into_iter().next().map_or_else(|| missing(path), HealthError::AnyPort));
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(first_answer(fixed, ready));
    // Does not wait for the connection.
    runtime.shutdown_background();
    let (address, answer) = answered.ok_or_else(|| missing(path))??;
    match verdict(&answer, ready) {
        Ok(()) => Ok(format!("{address}: {}\n", if ready { "ready" } else { "healthy" })),
        Err(why) => Err(HealthError::Sick { address, why }),
    }
}

fn missing(path: &Path) -> HealthError {
    HealthError::NoAddress(path.display().to_string())
}

/// The answer of the first address that can be reached, or the error of the last one; `None`
/// without any address.
async fn first_answer(
    addresses: Vec<AdminAddress>,
    ready: bool,
) -> Option<Result<(String, Response<Bytes>), ClientError>> {
    let mut failed: Option<ClientError> = None;
    for address in addresses {
        if let Some(error) = failed.take() {
            complain(&format!("tidegate: {error}"));
        }
        let client = Client::new(address, None);
        match client.get(if ready { "/readyz" } else { "/healthz" }).await {
            Ok(answer) => return Some(Ok((client.address().to_string(), answer))),
            Err(error @ ClientError::Connect(..)) => failed = Some(error),
            Err(error) => return Some(Err(error)),
        }
    }
    failed.map(Err)
}

/// What `/healthz` and `/readyz` answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    stuck: Vec<String>,
    checks: Checks,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checks {
    upstream: String,
    certificate: String,
    draining: bool,
}

/// # Errors
/// What is wrong, as a clause.
fn verdict(answer: &Response<Bytes>, ready: bool) -> Result<(), String> {
    if answer.status() == StatusCode::OK {
        return Ok(());
    }
    let Answer { stuck, checks } = serde_json::from_slice(answer.body()).unwrap_or_default();
    let Checks { upstream, certificate, draining } = checks;
    let mut reasons = Vec::new();
    if !stuck.is_empty() {
        reasons.push(format!("worker threads do not answer: {}", stuck.join(", ")));
    }
    if draining {
        reasons.push("it is about to stop".to_owned());
    }
    if certificate == "temporary" {
        reasons.push("it has only a temporary certificate".to_owned());
    }
    if !matches!(upstream.as_str(), "" | "ok") {
        reasons.push(format!("the registry is down: {upstream}"));
    }
    if reasons.is_empty() {
        reasons.push(format!("it answers with {}", answer.status()));
    }
    Err(format!("not {}: {}", if ready { "ready" } else { "healthy" }, reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(status: u16, body: &'static str) -> Result<(), String> {
        verdict(&Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap(), true)
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        assert_eq!(verdict_of(200, "whatever"), Ok(()));
        for (status, body, why) in [
            (503, r#"{"healthy":false,"stuck":["a","b"]}"#, "not ready: worker threads do not answer: a, b"),
            (
                503,
                r#"{"ready":false,"checks":{"upstream":"no TLS","certificate":"temporary","draining":true}}"#,
                "not ready: it is about to stop; it has only a temporary certificate; the registry is down: no TLS",
            ),
            (404, "nothing", "not ready: it answers with 404 Not Found"),
        ] {
            assert_eq!(verdict_of(status, body), Err(why.to_owned()));
        }
    }
}
