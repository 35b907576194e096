//! TLS on raw bytes: sends exactly the bytes that a test wants to send.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::DEADLINE;
use super::tidegate::Tidegate;

/// A TLS connection, to localhost unless another name is given. Reads give up after `DEADLINE`.
pub struct Tls {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Tls {
    pub fn connect(tidegate: &Tidegate, protocol: &str) -> Tls {
        Tls::connect_with(tidegate.address, tidegate.settings.authority.client(&[protocol])).unwrap()
    }

    pub fn connect_with(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Tls> {
        Tls::connect_for("localhost", address, config)
    }

    /// Connects to a server of another name.
    pub fn connect_for(name: &str, address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Tls> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Tls::over(name, socket, config)
    }

    /// The handshake over an existing socket.
    pub fn over(name: &str, socket: TcpStream, config: Arc<ClientConfig>) -> io::Result<Tls> {
        Tls::over_behind(&[], name, socket, config)
    }

    /// The same, with `prefix` in one piece with the ClientHello.
    pub fn over_behind(
        prefix: &[u8],
        name: &str,
        mut socket: TcpStream,
        config: Arc<ClientConfig>,
    ) -> io::Result<Tls> {
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(config, name).unwrap();
        let mut first = prefix.to_vec();
        connection.write_tls(&mut first)?;
        socket.write_all(&first)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Tls { stream: StreamOwned::new(connection, socket) })
    }

    /// The common name in the server's certificate.
    pub fn peer_name(&self) -> String {
        super::authority::common_name(&self.stream.conn.peer_certificates().unwrap()[0])
    }

    pub fn protocol(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends close_notify and ends this side's half of the TCP connection.
    pub fn finish(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        let _ = self.stream.sock.shutdown(Shutdown::Write);
    }

    /// Whether anything has arrived from the other side: data, or the end.
    pub fn has_news(&mut self) -> bool {
        let StreamOwned { conn, sock } = &mut self.stream;
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            let readable = poll(&mut [PollFd::new(&*sock, PollFlags::IN)], Some(&now)).unwrap() > 0;
            if !readable {
                return false;
            }
            let ended = conn.read_tls(sock).map_or(true, |read| read == 0);
            // Session tickets do not count.
            if ended || conn.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0) {
                return true;
            }
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }

    /// The next bytes, or `Ok(0)` when the connection has ended in any way. `WouldBlock` when it
    /// stays open and silent past the socket's read timeout.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(io::Error::from(io::ErrorKind::WouldBlock))
            }
            Err(_) => Ok(0),
            read => read,
        }
    }

    /// Reads until the connection ends; panics when it does not end in time.
    pub fn receive_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.receive(&mut buffer) {
                Ok(0) => return all,
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(_) => panic!("the connection stays open after {} bytes", all.len()),
            }
        }
    }
}
