//! The host that the client asked for, behind trusted proxies too.

use std::borrow::Cow;

use http::HeaderMap;

use super::refusal::Refusal;
use crate::header::authority::Authority;
use crate::header::forwarded::Client;
use crate::header::forwarded_host;
use crate::state::State;

/// The host and port that the client asked for: what its trusted proxies say, else what the request
/// `named`, else the default of the settings. All that is sent to client and registry uses it.
///
/// # Errors
/// The host is not among `server.names`, or a trusted proxy names none that can be read.
pub(super) fn asked<'a>(
    named: Option<Authority>,
    headers: &HeaderMap,
    client: &Client,
    state: &'a State,
) -> Result<Cow<'a, Authority>, Refusal> {
    let outer = forwarded_host::read(headers, client.proxies, client.https)
        .map_err(|_| Refusal::Malformed("the proxy's X-Forwarded-Host or Forwarded does not name a host"))?;
    let Some(authority) = outer.or(named) else {
        let default = state.default_host.as_ref().map(Cow::Borrowed);
        return default.ok_or(Refusal::Malformed("the request names no host"));
    };
    let names = &state.config.server.names;
    if names.is_empty() || names.iter().any(|name| authority.host().is(name)) {
        Ok(Cow::Owned(authority))
    } else {
        Err(Refusal::Misdirected)
    }
}
