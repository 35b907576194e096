//! Fake registries that do one thing each.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::DEADLINE;

/// A server on a free port; each connection gets a thread that runs its behaviour.
pub struct Fake {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Fake {
    pub fn start(behaviour: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Fake {
        Fake::start_counting(|| (), behaviour)
    }

    /// A server on a port that the test has chosen.
    pub fn on(listener: TcpListener, behaviour: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Fake {
        Fake::serve(listener, || (), behaviour)
    }

    /// Calls `accepted` for each connection before the next one is accepted.
    pub fn start_counting(
        accepted: impl Fn() + Send + 'static,
        behaviour: impl Fn(&mut Conversation) + Send + Sync + 'static,
    ) -> Fake {
        Fake::serve(TcpListener::bind("127.0.0.1:0").unwrap(), accepted, behaviour)
    }

    fn serve(
        listener: TcpListener,
        accepted: impl Fn() + Send + 'static,
        behaviour: impl Fn(&mut Conversation) + Send + Sync + 'static,
    ) -> Fake {
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let behaviour = Arc::new(behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                accepted();
                let behaviour = Arc::clone(&behaviour);
                std::thread::spawn(move || behaviour(&mut Conversation::over(stream)));
            }
        });
        Fake { address, stopped }
    }

    /// Reads requests and never answers.
    pub fn silent() -> Fake {
        Fake::start(|conversation| while conversation.read_some().is_some() {})
    }

    /// Answers every request head with the same bytes. With `then_close`, it then closes the
    /// connection.
    pub fn scripted(answer: impl Into<Vec<u8>>, then_close: bool) -> Fake {
        let answer = answer.into();
        Fake::start(move |conversation| {
            while conversation.read_head().is_some() {
                conversation.write(&answer);
                if then_close {
                    return;
                }
            }
        })
    }

    /// Answers with a `Location`.
    pub fn location_teller(status: &str, location: &str) -> Fake {
        Fake::scripted(
            format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"),
            false,
        )
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// The address of a port on which nothing listens.
pub fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Whether tidegate asks by itself, for its checks of the registry.
pub fn is_check(head: &[String]) -> bool {
    head.iter().any(|line| line.to_ascii_lowercase().starts_with("user-agent: tidegate/"))
}

/// One connection from tidegate, as the fake sees it.
pub struct Conversation {
    reader: BufReader<TcpStream>,
}

impl Conversation {
    pub fn over(stream: TcpStream) -> Conversation {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Conversation { reader: BufReader::new(stream) }
    }

    /// The local address of the connection.
    pub fn address(&self) -> SocketAddr {
        self.reader.get_ref().local_addr().unwrap()
    }

    /// The raw connection, for behaviours other than plain HTTP.
    pub fn socket(&self) -> TcpStream {
        self.reader.get_ref().try_clone().unwrap()
    }

    /// The lines of the next request head, without its empty line; `None` when the connection ends.
    pub fn read_head(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line).ok()? == 0 {
                return None;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.is_empty() {
                return Some(lines);
            }
            lines.push(line);
        }
    }

    /// Some bytes, or `None` when the connection has ended.
    pub fn read_some(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 16 * 1024];
        let read = self.reader.read(&mut buffer).ok().filter(|read| *read > 0)?;
        buffer.truncate(read);
        Some(buffer)
    }

    /// Writes all bytes; false when the other side has closed.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.reader.get_mut().write_all(bytes).is_ok()
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(self.reader.get_ref());
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }

    /// Reads nothing, and returns when the other side has closed.
    pub fn wait_for_end(&self) {
        let socket = self.reader.get_ref();
        let mut poll = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::RDHUP)];
        let _ = rustix::event::poll(&mut poll, None);
    }

    pub fn close(&mut self) -> io::Result<()> {
        self.reader.get_ref().shutdown(Shutdown::Both)
    }
}
