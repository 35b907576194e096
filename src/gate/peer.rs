//! The other end of a connection.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use http::HeaderValue;

use super::proof::Proof;
use crate::metrics::TlsSession;
use crate::tls::PresentedCertificate;
use crate::user::User;

/// The other end of a connection, as its handshake showed it.
pub(crate) struct Peer {
    /// The address of the client, or of the last proxy before tidegate.
    pub address: IpAddr,
    /// The client of the connection: whom a header of the PROXY protocol named, else the same.
    pub client: IpAddr,
    /// Whether that client, if it is a trusted proxy, may speak for others. A load balancer that
    /// named nobody may have connected for anybody.
    pub may_forward: bool,
    /// What the handshake agreed on.
    pub tls: TlsSession,
    /// Whether the handshake asked for a client certificate.
    pub asked: bool,
    /// The certificate that the client presented. Few do, and idle connections keep this.
    pub shown: Option<Box<PresentedCertificate>>,
    /// How often its connection was polled. Requests that came together are read in one poll.
    pub polls: Cell<u64>,
    /// The password that it has proven last.
    pub proof: RefCell<Option<Box<Proof>>>,
    /// Its last user, and the `Authorization` that a registry gets which only wants the name.
    pub name_alone: RefCell<Option<(User, HeaderValue)>>,
}
