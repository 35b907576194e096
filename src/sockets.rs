//! The listening sockets of the process: passed by systemd, or bound.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use listenfd::ListenFd;
use socket2::Socket;
use tokio::net::TcpListener;

use crate::config::AdminAddress;
use crate::disk::shell_word;
use crate::server::{AdminListener, bind};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Where the process listens.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Passed to the process, and not in use yet.
    passed: Vec<Passed>,
}

#[derive(Debug)]
struct Passed {
    role: Role,
    socket: Socket,
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
            Ok(Passed { role, socket })
        };
        Ok(Self { passed: (0..count).map(take).collect::<Result<_, _>>()? })
    }

    /// The listeners for `role`: those that were passed, else one at each of `addresses`.
    pub(crate) fn tcp(
        &mut self,
        role: Role,
        addresses: &[SocketAddr],
    ) -> Result<Vec<Rc<TcpListener>>, SocketError> {
        let passed = self.take(role, addresses);
        let passed = passed.into_iter().map(|socket| TcpListener::from_std(socket.into()));
        let passed = passed.collect::<io::Result<Vec<_>>>().map_err(|error| unusable(role, error))?;
        let listeners = if passed.is_empty() {
            let bind = |&address: &SocketAddr| {
                bind(address, addresses).map_err(|error| {
                    SocketError::Bind(role.key(), address.to_string(), advice(address, &error))
                })
            };
            addresses.iter().map(bind).collect::<Result<_, _>>()?
        } else {
            passed
        };
        Ok(listeners.into_iter().map(Rc::new).collect())
    }

    /// The listeners of `server.admin`.
    pub(crate) fn admin(
        &mut self,
        addresses: &[AdminAddress],
    ) -> Result<Vec<Rc<AdminListener>>, SocketError> {
        let role = Role::Admin;
        let passed = self.take(role, addresses).into_iter().map(AdminListener::of);
        let passed = passed.collect::<io::Result<Vec<_>>>().map_err(|error| unusable(role, error))?;
        let listeners = if passed.is_empty() { bind_admin(addresses)? } else { passed };
        Ok(listeners.into_iter().map(Rc::new).collect())
    }

    /// Takes the sockets for `role`. Says which of `addresses` are not listened on for them.
    fn take<A: ToString>(&mut self, role: Role, addresses: &[A]) -> Vec<Socket> {
        let taken: Vec<Socket> =
            self.passed.extract_if(.., |passed| passed.role == role).map(|passed| passed.socket).collect();
        let places: Vec<String> = taken.iter().map(place).collect();
        let unheeded = addresses.iter().map(ToString::to_string).filter(|address| {
            // It is the default, so perhaps nobody has written it.
            address != "0.0.0.0:443" && !taken.is_empty() && !places.contains(address)
        });
        for address in unheeded {
            let key = role.key();
            tracing::warn!(
                "{key}: tidegate does not listen on {address}, because systemd passes the sockets; remove it, or change \
                 ListenStream= in the socket's unit"
            );
        }
        taken
    }
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

fn bind_admin(addresses: &[AdminAddress]) -> Result<Vec<AdminListener>, SocketError> {
    let tcp = addresses.iter().filter_map(|address| match address {
        AdminAddress::Tcp(address) => Some(*address),
        AdminAddress::Unix(_) => None,
    });
    let all: Vec<SocketAddr> = tcp.collect();
    let bind = |address: &AdminAddress| {
        AdminListener::bind(address, &all).map_err(|error| {
            let advice = match address {
                AdminAddress::Tcp(address) => advice(*address, &error),
                AdminAddress::Unix(path) => socket_advice(path, &error),
            };
            SocketError::Bind(Role::Admin.key(), address.to_string(), advice)
        })
    };
    addresses.iter().map(bind).collect()
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
