//! The faults, by the place where they strike.

mod answers;
mod bodies;
mod connections;
mod heads;
mod uploads;

use std::borrow::Cow;

use super::script::Step;
use super::verdict::Verdict;

/// One fault of a registry.
#[derive(Clone, Debug)]
pub struct Fault {
    pub name: Cow<'static, str>,
    pub server: Server,
    pub ask: Ask,
    /// What a client sees over HTTP/1.1.
    pub http1: Verdict,
    /// The same over HTTP/2.
    pub http2: Verdict,
    /// Where there is a second server, which is sound.
    pub beside_a_sound_one: Beside,
    /// The words of tidegate's own log, if the answer is its own.
    pub reason: &'static str,
    /// tidegate waits for an answer for a second only.
    pub is_impatient: bool,
}

/// What listens, if anything does.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    Plain(&'static [Step]),
    /// TLS with one of these certificates, then a sound registry.
    Secure(Certificate),
    /// Plain HTTP where TLS is expected.
    NotSecure(&'static [Step]),
    /// Nothing listens at its port.
    Refusing,
    /// Its name has no address.
    Nameless,
    /// It neither accepts nor refuses connections.
    Deaf,
}

#[derive(Clone, Copy, Debug)]
pub enum Certificate {
    Expired,
    OfAnotherName,
    OfAnotherAuthority,
}

/// What the client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Get,
    Head,
    /// An upload of 1000 bytes.
    SmallPush,
    /// The first 64 KiB of an upload of 16 MiB.
    PushBegun,
}

/// What happens to a request that meets the fault while another server is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The sound one answers all, because the faulty one never had a byte of a request.
    MovesOn,
    /// The same as without the sound one.
    Same,
    /// Either of both: the fault may come before the first byte of the request.
    Either,
}

pub fn all() -> Vec<Fault> {
    let groups = [connections::all(), heads::all(), answers::all(), bodies::all(), uploads::all()];
    groups.into_iter().flatten().collect()
}

impl Fault {
    fn new(name: impl Into<Cow<'static, str>>, ask: Ask, script: &'static [Step], verdict: Verdict) -> Fault {
        Fault::of(name, Server::Plain(script), ask, verdict)
    }

    fn of(name: impl Into<Cow<'static, str>>, server: Server, ask: Ask, verdict: Verdict) -> Fault {
        let beside_a_sound_one = match server {
            Server::Plain(_) => Beside::Same,
            _ => Beside::MovesOn,
        };
        Fault {
            name: name.into(),
            server,
            ask,
            http1: verdict,
            http2: verdict,
            beside_a_sound_one,
            reason: "",
            is_impatient: false,
        }
    }

    fn because(self, reason: &'static str) -> Fault {
        Fault { reason, ..self }
    }

    fn beside(self, beside_a_sound_one: Beside) -> Fault {
        Fault { beside_a_sound_one, ..self }
    }

    fn impatiently(self) -> Fault {
        Fault { is_impatient: true, ..self }
    }
}
