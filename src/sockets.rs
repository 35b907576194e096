//! The listening sockets of the process: passed by systemd or by the process before, or bound.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::{Rc, Weak};

use listenfd::ListenFd;
use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::config::AdminAddress;
use crate::disk::shell_word;
use crate::server::{AdminListener, ListeningSocket, bind};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Https,
    Http,
    Admin,
}

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Holds the key, the address and what to do.
    #[error("{0} {1}: {2}")]
    Bind(&'static str, String, String),
    #[error(
        "a socket that systemd passes has the name \"{0}\"; write FileDescriptorName=https, http or admin in its unit"
    )]
    Name(String),
    #[error("the socket \"{0}\" that systemd passes cannot be used; write ListenStream= in its unit: {1}")]
    Unusable(String, io::Error),
}

/// What is known of a socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    role: Role,
    /// Its address as in proxy.toml. `None` if it is systemd's.
    address: Option<String>,
}

/// Where the process listens.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Passed to the process, and not in use yet.
    passed: Vec<(Listening, Socket)>,
    /// In use, until their owners have closed them.
    used: Vec<(Listening, Used)>,
}

#[derive(Debug)]
enum Used {
    Tcp(Weak<ListeningSocket>),
    Admin(Weak<AdminListener>),
}

impl Role {
    /// The name of such sockets in their units.
    fn named(name: &str) -> Option<Self> {
        match name {
            "https" => Some(Self::Https),
            "http" => Some(Self::Http),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// The key of their addresses.
    fn key(self) -> &'static str {
        match self {
            Self::Https => "server.listen",
            Self::Http => "server.plain",
            Self::Admin => "server.admin",
        }
    }
}

impl Sockets {
    /// Takes what systemd passes to the process (sd_listen_fds(3)). To be called before there is
    /// another thread, because it changes the environment.
    pub(crate) fn of_systemd() -> Result<Self, SocketError> {
        // The library takes sockets that are for no process in particular.
        if env::var("LISTEN_PID").ok() != Some(std::process::id().to_string()) {
            return Ok(Self::default());
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split_terminator(':');
        let mut given = ListenFd::from_env();
        let count = given.len();
        let take = |number| {
            // Other service managers give no names.
            let name = names.next().unwrap_or("https");
            let role = Role::named(name).ok_or_else(|| SocketError::Name(name.to_owned()))?;
            let socket = take(&mut given, number, role);
            let socket = socket.map_err(|error| SocketError::Unusable(name.to_owned(), error))?;
            Ok((Listening { role, address: None }, socket))
        };
        Ok(Self { passed: (0..count).map(take).collect::<Result<_, _>>()?, used: Vec::new() })
    }

    /// Takes what the process before has listened on.
    pub(crate) fn inherit(&mut self, sockets: Vec<(Listening, OwnedFd)>) -> io::Result<()> {
        for (listening, socket) in sockets {
            let socket = Socket::from(socket);
            socket.set_nonblocking(true)?;
            self.passed.push((listening, socket));
        }
        Ok(())
    }

    /// The listeners for `role`: those of systemd, else one at each of `addresses`. Those of the
    /// process before are used again.
    pub(crate) fn tcp(
        &mut self,
        role: Role,
        addresses: &[SocketAddr],
    ) -> Result<Vec<Rc<ListeningSocket>>, SocketError> {
        let passed = self.take(role, addresses);
        let listeners = passed.into_iter().map(|(listening, socket)| {
            let listener = match socket {
                Passed::Socket(socket) => ListeningSocket::of(socket).map_err(|error| unusable(role, error)),
                Passed::Missing(address) => bind(*address, addresses).map_err(|error| {
                    SocketError::Bind(role.key(), address.to_string(), advice(*address, &error))
                }),
            };
            let listener = Rc::new(listener?);
            self.used.push((listening, Used::Tcp(Rc::downgrade(&listener))));
            Ok(listener)
        });
        listeners.collect()
    }

    /// The listeners of `server.admin`, in the same way.
    pub(crate) fn admin(
        &mut self,
        addresses: &[AdminAddress],
    ) -> Result<Vec<Rc<AdminListener>>, SocketError> {
        let role = Role::Admin;
        let passed = self.take(role, addresses);
        let listeners = passed.into_iter().map(|(listening, socket)| {
            let listener = match socket {
                Passed::Socket(socket) => AdminListener::of(socket, listening.address.is_some())
                    .map_err(|error| unusable(role, error)),
                Passed::Missing(address) => bind_admin(address, addresses),
            };
            let listener = Rc::new(listener?);
            self.used.push((listening, Used::Admin(Rc::downgrade(&listener))));
            Ok(listener)
        });
        listeners.collect()
    }

    /// Closes what was passed and has no use: nobody would answer there.
    pub(crate) fn close_rest(&mut self) {
        self.passed.clear();
    }

    /// The sockets in use, for another process.
    pub(crate) fn used(&self) -> (Vec<Listening>, Vec<Rc<dyn AsFd>>) {
        let open = self.used.iter().filter_map(|(listening, used)| {
            let socket: Rc<dyn AsFd> = match used {
                Used::Tcp(listener) => listener.upgrade()?,
                Used::Admin(listener) => listener.upgrade()?,
            };
            Some((listening.clone(), socket))
        });
        open.unzip()
    }

    /// Leaves the sockets of the file system to another process.
    pub(crate) fn leave_files(&self) {
        for (_, used) in &self.used {
            if let Used::Admin(listener) = used
                && let Some(listener) = listener.upgrade()
            {
                listener.leave();
            }
        }
    }

    /// Takes the sockets for `role`: those of systemd, or what there is for each of `addresses`.
    /// Says which addresses are not listened on.
    fn take<'a, A: ToString>(&mut self, role: Role, addresses: &'a [A]) -> Vec<(Listening, Passed<'a, A>)> {
        let is_of_systemd = |listening: &Listening| listening.role == role && listening.address.is_none();
        let of_systemd: Vec<(Listening, Socket)> =
            self.passed.extract_if(.., |(listening, _)| is_of_systemd(listening)).collect();
        if of_systemd.is_empty() {
            return addresses.iter().map(|address| self.take_at(role, address)).collect();
        }
        let places: Vec<String> = of_systemd.iter().map(|(_, socket)| place(socket)).collect();
        let unheeded = addresses.iter().map(ToString::to_string).filter(|address| {
            // It is the default, so perhaps nobody has written it.
            address != "0.0.0.0:443" && !places.contains(address)
        });
        for address in unheeded {
            let key = role.key();
            tracing::warn!(
                "{key}: tidegate does not listen on {address}, because systemd passes the sockets; remove it, or change \
                 ListenStream= in the socket's unit"
            );
        }
        of_systemd.into_iter().map(|(listening, socket)| (listening, Passed::Socket(socket))).collect()
    }

    /// The socket of the process before that listens at `address`.
    fn take_at<'a, A: ToString>(&mut self, role: Role, address: &'a A) -> (Listening, Passed<'a, A>) {
        let wanted = Some(address.to_string());
        let mut there = self
            .passed
            .iter()
            .position(|(listening, _)| listening.role == role && listening.address == wanted)
            .map(|position| Passed::Socket(self.passed.swap_remove(position).1));
        let socket = there.take().unwrap_or(Passed::Missing(address));
        (Listening { role, address: wanted }, socket)
    }
}

/// What there is for an address.
enum Passed<'a, A> {
    Socket(Socket),
    Missing(&'a A),
}

/// The socket with this number, which must be for what its name says.
fn take(given: &mut ListenFd, number: usize, role: Role) -> io::Result<Socket> {
    let socket = match given.take_tcp_listener(number) {
        Ok(listener) => listener.map(OwnedFd::from),
        Err(_) if role == Role::Admin => given.take_unix_listener(number)?.map(OwnedFd::from),
        Err(error) => return Err(error),
    };
    let socket = Socket::from(socket.ok_or(io::ErrorKind::NotFound)?);
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    // It comes as systemd uses it.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address of a socket as in proxy.toml.
fn place(socket: &Socket) -> String {
    let Ok(address) = socket.local_addr() else { return String::new() };
    match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => address.to_string(),
        (None, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => String::new(),
    }
}

fn unusable(role: Role, error: io::Error) -> SocketError {
    SocketError::Unusable(role.key().to_owned(), error)
}

fn bind_admin(address: &AdminAddress, all: &[AdminAddress]) -> Result<AdminListener, SocketError> {
    let tcp = all.iter().filter_map(|address| match address {
        AdminAddress::Tcp(address) => Some(*address),
        AdminAddress::Unix(_) => None,
    });
    let tcp: Vec<SocketAddr> = tcp.collect();
    AdminListener::bind(address, &tcp).map_err(|error| {
        let advice = match address {
            AdminAddress::Tcp(address) => advice(*address, &error),
            AdminAddress::Unix(path) => socket_advice(path, &error),
        };
        SocketError::Bind(Role::Admin.key(), address.to_string(), advice)
    })
}

fn advice(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is in use; `ss -ltnp 'sport = :{}'` shows the program; stop that program, or choose another port",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those it has".to_owned()
        }
        _ => error.to_string(),
    }
}

fn socket_advice(path: &Path, error: &io::Error) -> String {
    let folder = shell_word(path.parent().unwrap_or(Path::new("/")));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; stop that program, or choose another path".to_owned()
        }
        io::ErrorKind::NotFound => format!(
            "the folder does not exist; make it with `mkdir {folder}`, writable for the user that runs tidegate"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("the user that runs tidegate is not permitted to make a socket in {folder}")
        }
        _ => error.to_string(),
    }
}
