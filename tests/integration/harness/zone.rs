//! A network with a DNS server of its own, whose answers a test changes.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use tempfile::TempDir;

use super::DEADLINE;
use super::namespaces::Namespaces;

pub const NO_ERROR: u8 = 0;
pub const SERVER_FAILURE: u8 = 2;
pub const NAME_ERROR: u8 = 3;

/// What the DNS server says about every name.
#[derive(Clone)]
pub enum Says {
    Addresses(Vec<IpAddr>),
    /// A response code of RFC 1035 section 4.1.1.
    Error(u8),
    Nothing,
}

struct State {
    says: Says,
    /// Questions for IPv4 addresses so far. A look-up asks one, because it has one attempt.
    questions: usize,
}

pub struct Zone {
    namespaces: Namespaces,
    shared: Arc<(Mutex<State>, Condvar)>,
    _folder: TempDir,
}

impl Zone {
    /// Moves this thread into a network where every name has these addresses, which requires root.
    /// Without root, prints a note and returns `None`.
    pub fn enter(addresses: &[&str]) -> Option<Zone> {
        let folder = TempDir::new().unwrap();
        let resolver = folder.path().join("resolv.conf");
        let server = (Ipv4Addr::new(127, 0, 0, 53), 53);
        let text = format!("nameserver {}\noptions timeout:30 attempts:1\n", server.0);
        fs::write(&resolver, text).unwrap();
        let script = format!("mount --bind {} /etc/resolv.conf", resolver.display());
        let namespaces = Namespaces::start("names that change", &script)?;
        namespaces.enter_network();
        let state = State { says: Says::of(addresses), questions: 0 };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        serve(UdpSocket::bind(server).unwrap(), Arc::clone(&shared));
        Some(Zone { namespaces, shared, _folder: folder })
    }

    /// The command prefix that runs a program there.
    pub fn runner(&self) -> Vec<String> {
        self.namespaces.runner()
    }

    pub fn say(&self, says: Says) {
        self.shared.0.lock().unwrap().says = says;
    }

    pub fn questions(&self) -> usize {
        self.shared.0.lock().unwrap().questions
    }

    /// Waits for this many further questions.
    pub fn wait_for_questions(&self, count: usize) {
        let state = self.shared.0.lock().unwrap();
        let (start, goal) = (Instant::now(), state.questions + count);
        let few = |state: &mut State| state.questions < goal;
        let (state, _) = self.shared.1.wait_timeout_while(state, DEADLINE, few).unwrap();
        let asked = state.questions;
        drop(state);
        assert!(asked >= goal, "{asked} questions and not {goal} after {:?}", start.elapsed());
    }
}

impl Says {
    pub fn of(addresses: &[&str]) -> Says {
        Says::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }
}

fn serve(socket: UdpSocket, shared: Arc<(Mutex<State>, Condvar)>) {
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            let query = &query[..length];
            let says = {
                let mut state = shared.0.lock().unwrap();
                state.questions += usize::from(asks(query).is_some_and(|(_, kind)| kind == A));
                state.says.clone()
            };
            shared.1.notify_all();
            let answer = match says {
                Says::Addresses(addresses) => answer(query, NO_ERROR, &addresses),
                Says::Error(code) => answer(query, code, &[]),
                Says::Nothing => None,
            };
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer, peer);
            }
        }
    });
}

const HEADER: usize = 12;
const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];

/// The question of a query, and the type that it asks for (RFC 1035 section 4.1.2).
fn asks(query: &[u8]) -> Option<(&[u8], [u8; 2])> {
    let name = query.get(HEADER..)?.iter().position(|&length| length == 0)?;
    let question = query.get(HEADER..HEADER + name + 5)?;
    Some((question, [question[name + 1], question[name + 2]]))
}

/// Answers a query: repeats the question and adds those of `addresses` that have its type, for ten
/// minutes.
pub fn answer(query: &[u8], code: u8, addresses: &[IpAddr]) -> Option<Vec<u8>> {
    let (question, kind) = asks(query)?;
    let mut records = Vec::new();
    let mut count = 0;
    for address in addresses {
        let (of, octets) = match address {
            IpAddr::V4(address) => (A, address.octets().to_vec()),
            IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
        };
        if of == kind {
            count += 1;
            records.extend([0xc0, HEADER as u8, 0, of[1], 0, 1, 0, 0, 2, 88, 0, octets.len() as u8]);
            records.extend(octets);
        }
    }
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    answer.extend(records);
    Some(answer)
}
