//! Who may see metrics and traffic.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::sleep;

use super::text::sentence;
use crate::auth::{Htpasswd, Verdict};
use crate::header::challenge;
use crate::header::credentials::{self, Credentials};
use crate::header::forwarded;
use crate::live_file::LiveFile;
use crate::metrics::Login;
use crate::state::Shared;

const REALM: &str = "tidegate admin";
/// How long a refusal is held back. A client that retries in a loop then leaves room for others.
const DELAY: Duration = Duration::from_millis(20);
const BUSY_DELAY: Duration = Duration::from_secs(1);

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Address(IpAddr),
    /// A client of the socket in the file system.
    Socket,
}

impl Peer {
    fn is_local(self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Socket => true,
        }
    }

    /// The address that wrong passwords count for.
    fn address(self) -> IpAddr {
        match self {
            Self::Address(address) => address,
            Self::Socket => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// Lets in clients of this machine, those in `admin.allow`, and those with a password from
/// `admin.htpasswd`. A request that a proxy of this machine passes on is not one of this machine.
///
/// # Errors
/// The refusal. Without `admin.htpasswd`, `absent`.
pub(super) async fn admit(
    shared: &Shared,
    peer: Peer,
    headers: &HeaderMap,
    absent: impl FnOnce() -> Response<Bytes>,
) -> Result<(), Response<Bytes>> {
    if peer.is_local() && !forwarded::is_passed_on(headers) {
        return Ok(());
    }
    let state = shared.state().clone();
    if matches!(peer, Peer::Address(address) if forwarded::is_trusted(address, &state.config.admin.allow)) {
        return Ok(());
    }
    match &state.admin_users {
        None => Err(absent()),
        Some(users) => check_password(shared, users, peer, headers).await,
    }
}

async fn check_password(
    shared: &Shared,
    users: &LiveFile<Htpasswd>,
    peer: Peer,
    headers: &HeaderMap,
) -> Result<(), Response<Bytes>> {
    let basic = match credentials::read(headers) {
        Ok(Credentials::Basic(basic)) => basic,
        Ok(_) => return Err(unauthorized()),
        Err(_) => return Err(sentence(StatusCode::BAD_REQUEST, "more than one Authorization field")),
    };
    let Ok(users) = users.current() else {
        return Err(later(StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO));
    };
    let verdict = shared.verifier.verify(&users, peer.address(), &basic.user, &basic.password).await;
    shared.metrics.of_main_thread().logins[Login::Password][verdict.result()].add(1);
    match verdict {
        Verdict::Right { .. } => Ok(()),
        Verdict::Wrong(_) => Err(unauthorized()),
        Verdict::WrongAgain(delay, _) => {
            sleep(delay).await;
            Err(unauthorized())
        }
        Verdict::Busy | Verdict::Unavailable => {
            sleep(BUSY_DELAY).await;
            Err(later(StatusCode::TOO_MANY_REQUESTS, Duration::ZERO))
        }
        Verdict::Throttled(left) => {
            sleep(DELAY).await;
            Err(later(StatusCode::TOO_MANY_REQUESTS, left))
        }
    }
}

fn unauthorized() -> Response<Bytes> {
    let mut response =
        sentence(StatusCode::UNAUTHORIZED, "a user and a password of admin.htpasswd are needed");
    if let Some(challenge) = challenge::basic(REALM) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Asks the client to come back after `wait`, but not before two seconds.
fn later(status: StatusCode, wait: Duration) -> Response<Bytes> {
    let mut response = sentence(status, "the password cannot be checked now; try again later");
    let seconds = wait.as_secs().saturating_add(1).max(2);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}
