//! A socket of the floor, and the buffers that all sockets of a thread use in turn.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// How much to read at once.
pub const FROM_CLIENT: usize = 128 * 1024;
pub const FROM_UPSTREAM: usize = 384 * 1024;
/// Holds a read with the start of a record before it, or a read that was sealed.
const BUFFER: usize = 400 * 1024;

pub const NEW: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

const ARRIVES: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);
const ENDS: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

pub type Buffer = Box<[u8]>;

/// What all connections of a thread use.
pub struct Shared {
    pub epoll: OwnedFd,
    upstream: SocketAddr,
    /// Connections to it that no client uses.
    idle: Vec<End>,
    spares: Vec<Buffer>,
}

/// A socket, watched for edges.
pub struct End {
    pub stream: TcpStream,
    pub token: u64,
    pub readable: bool,
    /// Nothing will arrive after what has arrived.
    ended: bool,
    /// Whether it is also watched for room.
    watches_room: bool,
    /// What the socket had no room for. Until it has, nothing is read for it.
    pub pending: Option<(Buffer, Range<usize>)>,
}

pub fn socket() -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, NEW, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

impl Shared {
    pub fn new(upstream: SocketAddr) -> io::Result<Shared> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Shared { epoll, upstream, idle: Vec::new(), spares: Vec::new() })
    }

    pub fn buffer(&mut self) -> Buffer {
        self.spares.pop().unwrap_or_else(|| vec![0; BUFFER].into())
    }

    /// Keeps a buffer for later.
    pub fn keep(&mut self, buffer: Buffer) {
        self.spares.push(buffer);
    }

    /// Keeps a connection to the upstream for the next client, if no answer is under way.
    pub fn keep_upstream(&mut self, end: End) {
        if !end.ended && !end.readable && end.pending.is_none() {
            self.idle.push(end);
        }
    }

    pub fn connect(&mut self, token: u64) -> io::Result<End> {
        if let Some(mut end) = self.idle.pop() {
            end.token = token;
            end.watch_again(self)?;
            return Ok(end);
        }
        let socket = socket()?;
        match net::connect(&socket, &self.upstream) {
            Ok(()) | Err(Errno::INPROGRESS) => End::new(socket, token, self),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl End {
    pub fn new(socket: OwnedFd, token: u64, shared: &Shared) -> io::Result<End> {
        epoll::add(&shared.epoll, &socket, EventData::new_u64(token), ARRIVES)?;
        let stream = socket.into();
        Ok(End { stream, token, readable: false, ended: false, watches_room: false, pending: None })
    }

    pub fn notice(&mut self, flags: EventFlags, shared: &mut Shared) -> io::Result<()> {
        self.ended |= flags.intersects(ENDS);
        self.readable |= flags.intersects(EventFlags::IN | ENDS);
        match self.pending.take_if(|_| flags.contains(EventFlags::OUT)) {
            Some((buffer, left)) => self.send_range(buffer, left, shared),
            None => Ok(()),
        }
    }

    /// A read that does not fill the room has emptied the socket. It is an error if it has ended.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(room);
        self.readable = read.as_ref().is_ok_and(|read| self.ended || *read == room.len());
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            read => none_if_blocked(read),
        }
    }

    pub fn send(&mut self, buffer: Buffer, length: usize, shared: &mut Shared) -> io::Result<()> {
        self.send_range(buffer, 0..length, shared)
    }

    fn send_range(&mut self, buffer: Buffer, mut left: Range<usize>, shared: &mut Shared) -> io::Result<()> {
        left.start += none_if_blocked(self.stream.write(&buffer[left.clone()]))?;
        if left.is_empty() {
            shared.keep(buffer);
            return Ok(());
        }
        self.pending = Some((buffer, left));
        if !self.watches_room {
            self.watches_room = true;
            self.watch_again(shared)?;
        }
        Ok(())
    }

    fn watch_again(&self, shared: &Shared) -> io::Result<()> {
        let flags = if self.watches_room { ARRIVES | EventFlags::OUT } else { ARRIVES };
        Ok(epoll::modify(&shared.epoll, &self.stream, EventData::new_u64(self.token), flags)?)
    }
}

fn none_if_blocked(moved: io::Result<usize>) -> io::Result<usize> {
    moved.or_else(|failure| if failure.kind() == ErrorKind::WouldBlock { Ok(0) } else { Err(failure) })
}
