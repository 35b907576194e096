//! Which hosts a request may name. In DNS rebinding, a stranger's web page points its own name to
//! this listener, and reads it through the browser of a user who may see it. Nobody can choose an
//! address as a name, so addresses are allowed.

use std::net::Ipv4Addr;

use http::header::HOST;
use http::{Request, StatusCode, Version};

use super::access::Peer;
use crate::header::authority::{Authority, Host, without_dot};

/// # Errors
/// The status of the refusal and a sentence.
pub(super) fn check<B>(
    request: &Request<B>,
    peer: Peer,
    names: &[String],
) -> Result<(), (StatusCode, &'static str)> {
    let malformed = Err((StatusCode::BAD_REQUEST, "the request does not name one host"));
    let mut fields = request.headers().get_all(HOST).iter();
    let (field, second) = (fields.next(), fields.next());
    // Only proxies get a target with a host.
    if second.is_some() || request.uri().authority().is_some() {
        return malformed;
    }
    let Some(field) = field else {
        return if request.version() == Version::HTTP_10 { Ok(()) } else { malformed };
    };
    let Some(authority) = Authority::read(field) else { return malformed };
    if peer == Peer::Socket || is_address(authority.host()) || is_known(authority.host(), names) {
        Ok(())
    } else {
        Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this name is not served here; use the IP address, localhost, or one of server.names",
        ))
    }
}

fn is_address(host: Host<'_>) -> bool {
    match host {
        Host::Name(name) => without_dot(name).parse::<Ipv4Addr>().is_ok(),
        Host::V6(_) => true,
    }
}

fn is_known(host: Host<'_>, names: &[String]) -> bool {
    host.is("localhost") || names.iter().any(|name| host.is(name))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn status(host: &str, peer: Peer) -> u16 {
        let request = Request::get("/").header(HOST, host).body(()).unwrap();
        check(&request, peer, &["registry.test".to_owned()])
            .map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn addresses_and_our_own_names_are_accepted() {
        let peer = Peer::Address(IpAddr::from([192, 0, 2, 1]));
        for host in ["localhost", "LOCALHOST.:9443", "127.0.0.1:9443", "10.1.2.3", "[::1]:1", "[2001:db8::1]"]
        {
            assert_eq!(status(host, peer), 200, "{host}");
        }
        assert_eq!(status("Registry.Test:9443", peer), 200);
        for host in ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "registry.test.evil", "127.1"]
        {
            assert_eq!(status(host, peer), 421, "{host}");
            assert_eq!(status(host, Peer::Socket), 200, "{host}");
        }
        for host in ["", "a@b", "a b", "[::1", "localhost, localhost"] {
            assert_eq!(status(host, peer), 400, "{host}");
        }
    }

    #[test]
    fn exactly_one_host_is_named() {
        let peer = Peer::Address(IpAddr::from([127, 0, 0, 1]));
        let status = |request: Request<()>| check(&request, peer, &[]).is_ok();
        assert!(!status(Request::get("/").body(()).unwrap()));
        assert!(status(Request::get("/").version(Version::HTTP_10).body(()).unwrap()));
        let two = Request::get("/").header(HOST, "localhost").header(HOST, "localhost");
        assert!(!status(two.body(()).unwrap()));
        assert!(!status(Request::get("http://localhost/").header(HOST, "localhost").body(()).unwrap()));
    }
}
