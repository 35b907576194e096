//! A port that is announced before anything serves behind it, and a DNS server that resolves every
//! name to this machine.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::DEADLINE;
use super::zone::{NO_ERROR, answer};

#[derive(Clone, PartialEq, Eq)]
enum State {
    /// Connections wait.
    Waiting,
    /// Connections are closed.
    Shut,
    /// Connections are forwarded to one of these addresses.
    Open(Vec<SocketAddr>),
}

/// A listening port whose target can change.
pub struct Door {
    pub port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Door {
    /// A door at which connections wait until it is opened.
    pub fn new() -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new((Mutex::new(State::Waiting), Condvar::new()));
        let (state, turns) = (shared.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let (state, turn) = (state.clone(), turns.clone());
                std::thread::spawn(move || {
                    let (lock, changed) = &*state;
                    let waiting = |state: &mut State| *state == State::Waiting;
                    let state =
                        changed.wait_timeout_while(lock.lock().unwrap(), DEADLINE, waiting).unwrap().0;
                    let state = state.clone();
                    if let State::Open(addresses) = state {
                        let first = turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
                        let mut in_turn = addresses.iter().cycle().skip(first).take(addresses.len());
                        if let Some(host) = in_turn.find_map(|address| TcpStream::connect(address).ok()) {
                            bring(visitor, host);
                        }
                    }
                });
            }
        });
        Door { port, shared }
    }

    pub fn open(&self, address: SocketAddr) {
        self.open_to(vec![address]);
    }

    /// The addresses take turns, as behind a load balancer. One that refuses is passed over.
    pub fn open_to(&self, addresses: Vec<SocketAddr>) {
        self.turn(State::Open(addresses));
    }

    pub fn shut(&self) {
        self.turn(State::Shut);
    }

    fn turn(&self, state: State) {
        *self.shared.0.lock().unwrap() = state;
        self.shared.1.notify_all();
    }
}

fn bring(visitor: TcpStream, host: TcpStream) {
    let (Ok(mut from), Ok(mut to)) = (host.try_clone(), visitor.try_clone()) else { return };
    let back = std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut &visitor, &mut &host);
    let _ = host.shutdown(Shutdown::Write);
    let _ = back.join();
}

/// The address of a DNS server that resolves every name to 127.0.0.1.
pub fn dns() -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    resolve(udp, Arc::new(Mutex::new(Ipv4Addr::LOCALHOST)));
    std::thread::spawn(move || {
        for visitor in tcp.incoming().flatten() {
            std::thread::spawn(move || while answer_over_tcp(&visitor).is_some() {});
        }
    });
    address
}

/// Answers one query. `None` at the end of the connection. Pebble 2.10 asks over TCP.
fn answer_over_tcp(mut visitor: &TcpStream) -> Option<()> {
    let mut length = [0; 2];
    visitor.read_exact(&mut length).ok()?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    visitor.read_exact(&mut query).ok()?;
    let answer = answer(&query, NO_ERROR, &[Ipv4Addr::LOCALHOST.into()])?;
    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
    visitor.write_all(&[&length, &*answer].concat()).ok()
}

/// Resolves every name to the address that `now` holds, for ten minutes.
pub fn resolve(socket: UdpSocket, now: Arc<Mutex<Ipv4Addr>>) {
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            let now = *now.lock().unwrap();
            if let Some(answer) = answer(&query[..length], NO_ERROR, &[now.into()]) {
                let _ = socket.send_to(&answer, peer);
            }
        }
    });
}
