//! Whether clients should be sent here.

use serde::Serialize;

use crate::acme;
use crate::config::Readiness;
use crate::state::Shared;

/// The answer of `/readyz`, and a part of the status.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ready {
    pub(super) ready: bool,
    pub(super) checks: Checks,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Checks {
    /// `ok`, or why the registry is down.
    upstream: String,
    /// `ok`, or `temporary` until the first certificate was issued.
    certificate: &'static str,
    /// `ok`, or why the shared state is away; `None` if nothing is shared. It is never a reason not
    /// to be ready: each replica goes on without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<String>,
    /// Whether the process has been asked to stop.
    pub(super) draining: bool,
}

/// What is known now.
pub(super) fn ready(shared: &Shared) -> Ready {
    let state = shared.state();
    let upstream = match state.routes.usual().registry.standing() {
        None => "not asked yet".to_owned(),
        Some(known) => known.fault.map_or_else(|| "ok".to_owned(), |fault| fault.brief),
    };
    let is_temporary = state.tls.certificates.iter().any(acme::is_temporary);
    let engine = shared.engine.as_ref().map(|engine| engine.standing().brief());
    let draining = shared.is_draining();
    let has_upstream = upstream == "ok" || state.config.server.readiness == Readiness::Own;
    let certificate = if is_temporary { "temporary" } else { "ok" };
    Ready {
        ready: has_upstream && !is_temporary && !draining,
        checks: Checks { upstream, certificate, shared: engine, draining },
    }
}
