//! The list of workloads, and how to run each.

mod crowd;
mod gets;
mod handshakes;
mod idle;
mod image;
mod pull;
mod push;
mod real;
mod signed_in;
mod streams;

use std::net::SocketAddr;

use self::image::Way;
use crate::failure::Outcome;
use crate::front::Front;
use crate::http1::Framing;
use crate::meter::Measured;
use crate::peers::{Installed, Peer};
use crate::quantity::Quantity;
use crate::scale::Scale;
use crate::scratch::{Scratch, Users};
use crate::target::{Groups, Handshake, Protocol};

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    users: Option<Users>,
    load: Load,
    groups: Groups,
}

enum Load {
    Pull(Protocol),
    /// Whether the length of a pull changes its cost per byte. For tidegate only.
    LongPull,
    SeveralPulls,
    PushHttp1(Framing),
    PushHttp2,
    Gets,
    SignedIn,
    BesideStrangers,
    Handshakes(Handshake),
    Idle,
    Crowd,
    Image(Way),
    ManyUsers,
    Streams,
    RealPull,
    RealPush,
    RealGets,
}

/// The servers behind the proxies.
pub struct Upstreams {
    pub cheap: SocketAddr,
    pub real: SocketAddr,
}

/// A running proxy and the amount of load for it.
pub struct Stage<'a> {
    pub front: &'a Front,
    pub scale: &'a Scale,
}

/// Workloads with password guessing use bcrypt hashes of the cost that `tidegate htpasswd` and many
/// other tools choose. Workloads that do not measure passwords use cheap ones.
const CHEAP: Option<Users> = Some(Users { count: 1, cost: 5 });
const DEAR: Option<Users> = Some(Users { count: 1, cost: 10 });
const OPEN: Option<Users> = None;

const fn many(count: usize) -> Option<Users> {
    Some(Users { count, cost: 4 })
}

pub const ALL: [Workload; 27] = [
    line("pull-h1", "pull, HTTP/1.1", CHEAP, Load::Pull(Protocol::Http1)),
    line("pull-h2", "pull, HTTP/2", CHEAP, Load::Pull(Protocol::Http2)),
    line("pull-long", "a pull 20 times as long", CHEAP, Load::LongPull),
    line("pulls-8", "8 pulls with concurrent HEADs", CHEAP, Load::SeveralPulls),
    line("push-chunked", "push, chunked", CHEAP, Load::PushHttp1(Framing::Chunked)),
    line("push-length", "push, Content-Length", CHEAP, Load::PushHttp1(Framing::Length)),
    line("push-h2", "push, HTTP/2", CHEAP, Load::PushHttp2),
    go("docker-pull", "docker pull", CHEAP, Load::Image(Way::DockerPull)),
    go("docker-push", "docker push", CHEAP, Load::Image(Way::DockerPush)),
    go("crane-pull", "crane pull", CHEAP, Load::Image(Way::CranePull)),
    line("get-open", "manifests, no password", OPEN, Load::Gets),
    line("get-cost-5", "manifests, bcrypt cost 5", CHEAP, Load::Gets),
    line("get-cost-10", "manifests, bcrypt cost 10", DEAR, Load::Gets),
    line("signed-in", "one user, bcrypt cost 10", DEAR, Load::SignedIn),
    line("strangers", "one user, with 16 guessing clients", DEAR, Load::BesideStrangers),
    line("handshake", "full handshakes", CHEAP, Load::Handshakes(Handshake::Full)),
    go("handshake-go", "full handshakes, like Go", CHEAP, Load::Handshakes(Handshake::Full)),
    line("resumed", "resumed handshakes", CHEAP, Load::Handshakes(Handshake::Resumed)),
    line("idle", "idle connections", OPEN, Load::Idle),
    line("crowd", "64 pushes and 64 pulls", CHEAP, Load::Crowd),
    line("users-1", "htpasswd of 1 user", many(1), Load::ManyUsers),
    line("users-1000", "htpasswd of 1,000 users", many(1000), Load::ManyUsers),
    line("users-100000", "htpasswd of 100,000 users", many(100_000), Load::ManyUsers),
    line("streams", "100 streams of GETs", OPEN, Load::Streams),
    line("registry-pull", "docker-registry: pull", CHEAP, Load::RealPull),
    line("registry-push", "docker-registry: push", CHEAP, Load::RealPush),
    line("registry-get", "docker-registry: manifests", CHEAP, Load::RealGets),
];

const fn line(name: &'static str, title: &'static str, users: Option<Users>, load: Load) -> Workload {
    Workload { name, title, users, load, groups: Groups::Classic }
}

/// The client agrees on keys as programs in Go do.
const fn go(name: &'static str, title: &'static str, users: Option<Users>, load: Load) -> Workload {
    Workload { groups: Groups::Go, ..line(name, title, users, load) }
}

impl Workload {
    pub fn is_for(&self, peer: Peer) -> bool {
        match self.load {
            // It knows no tickets, has no turns, and makes one request after the other.
            _ if peer == Peer::Floor => matches!(
                (&self.load, self.users),
                (Load::Pull(_) | Load::PushHttp1(_) | Load::PushHttp2 | Load::Image(_), _)
                    | (Load::Handshakes(Handshake::Full), _)
                    | (Load::Gets | Load::Idle, None)
            ),
            Load::LongPull => peer == Peer::Tidegate,
            // These are about passwords, or refuse the wrong ones.
            Load::SignedIn | Load::BesideStrangers | Load::ManyUsers => peer.checks_passwords(),
            Load::Gets => self.users.is_none() || peer.checks_passwords(),
            _ => true,
        }
    }

    pub fn needs_registry(&self) -> bool {
        matches!(self.load, Load::RealPull | Load::RealPush | Load::RealGets)
    }

    /// Starts a fresh peer and applies the load once. With clients as in Go, also returns the group
    /// that the peer chose.
    pub async fn run(
        &self,
        peer: &Installed,
        scratch: &mut Scratch,
        upstreams: &Upstreams,
        scale: &Scale,
    ) -> Outcome<(Measured, Option<String>)> {
        let upstream = if self.needs_registry() { upstreams.real } else { upstreams.cheap };
        let users = self.users.map(|users| Users { count: users.count.min(scale.users), ..users });
        let front = Front::start(peer, scratch, upstream, users, self.groups, scale.start).await?;
        let stage = Stage { front: &front, scale };
        let measured = match self.load {
            Load::Pull(protocol) => pull::one(&stage, protocol, scale.blob).await,
            Load::LongPull => pull::one(&stage, Protocol::Http1, scale.long_blob).await,
            Load::SeveralPulls => pull::several(&stage).await,
            Load::PushHttp1(framing) => push::http1(&stage, framing).await,
            Load::PushHttp2 => push::http2(&stage).await,
            Load::Gets => gets::manifests(&stage, scale.connections).await,
            Load::SignedIn => signed_in::run(&stage, 0).await,
            Load::BesideStrangers => signed_in::run(&stage, scale.strangers).await,
            Load::Handshakes(how) => handshakes::run(&stage, how).await,
            Load::Idle => idle::run(&stage).await,
            Load::Image(way) => image::run(&stage, way).await,
            Load::Crowd => crowd::run(&stage).await,
            Load::ManyUsers => {
                let mut measured = gets::manifests(&stage, scale.connections).await?;
                measured.push((Quantity::StartUp, front.start_up.as_secs_f64()));
                Ok(measured)
            }
            Load::Streams => streams::run(&stage).await,
            Load::RealPull => real::pull(&stage).await,
            Load::RealPush => real::push(&stage).await,
            Load::RealGets => real::gets(&stage).await,
        };
        Ok((measured?, front.group.filter(|_| self.groups == Groups::Go)))
    }
}
