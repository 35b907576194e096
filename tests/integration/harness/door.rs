//! A port that is announced before anything serves behind it, and a DNS server that resolves every
//! name to this machine.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};

use super::DEADLINE;
use super::zone::{NO_ERROR, answer};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Connections wait.
    Waiting,
    /// Connections are closed.
    Shut,
    /// Connections are forwarded to this address.
    Open(SocketAddr),
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
        let state = shared.clone();
        std::thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let state = state.clone();
                std::thread::spawn(move || {
                    let (lock, changed) = &*state;
                    let waiting = |state: &mut State| *state == State::Waiting;
                    let state =
                        changed.wait_timeout_while(lock.lock().unwrap(), DEADLINE, waiting).unwrap().0;
                    let state = *state;
                    if let State::Open(address) = state {
                        bring(visitor, address);
                    }
                });
            }
        });
        Door { port, shared }
    }

    pub fn open(&self, address: SocketAddr) {
        self.turn(State::Open(address));
    }

    pub fn shut(&self) {
        self.turn(State::Shut);
    }

    fn turn(&self, state: State) {
        *self.shared.0.lock().unwrap() = state;
        self.shared.1.notify_all();
    }
}

fn bring(visitor: TcpStream, address: SocketAddr) {
    let Ok(host) = TcpStream::connect(address) else { return };
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
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    resolve(socket, Arc::new(Mutex::new(Ipv4Addr::LOCALHOST)));
    address
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
