//! Connections to the registry that fail, end early, or are too many.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use h2::client::ResponseFuture;
use http::Request;
use socket2::{Domain, Socket, Type};

use crate::harness::fake::Fake;
use crate::harness::http1::{Client, Response};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{DEADLINE, http2};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
/// `upstream.connect_timeout`, and the time that a busy machine may take. The default is 5 s.
const LIMIT: Duration = Duration::from_millis(500);
const AT_MOST: Duration = Duration::from_millis(4500);

/// A listening socket with a backlog of a given size. Nobody accepts its connections.
fn listen(address: SocketAddr, backlog: i32) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

/// An address that neither accepts nor refuses connections, because its backlog is full.
struct BlackHole {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    fn at(address: SocketAddr) -> BlackHole {
        let listener = listen(address, 1);
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting: Vec<_> = (0..64).map_while(connect).collect();
        assert!(waiting.len() < 64, "the backlog is never full");
        BlackHole { listener, _waiting: waiting }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}

fn with_connect_timeout(upstream: &str) -> Tidegate {
    let limit = format!(r#""{}ms""#, LIMIT.as_millis());
    Tidegate::start(Settings::for_upstream(upstream).set("upstream.connect_timeout", &limit))
}

#[test]
fn a_registry_that_accepts_no_connection_gives_502_after_the_connect_timeout() {
    let hole = BlackHole::at((V4, 0).into());
    for scheme in ["http", "https"] {
        let tidegate = with_connect_timeout(&format!("{scheme}://127.0.0.1:{}", hole.port()));
        let mut client = Client::connect(&tidegate);
        for line in ["GET /v2/", "POST /v2/a/blobs/uploads/"] {
            let start = Instant::now();
            let response = client.exchange(line, &[AUTH, "Content-Length: 0"]);
            assert_eq!((response.status, response.error_code().as_str()), (502, "UNAVAILABLE"), "{line}");
            assert!((LIMIT..AT_MOST).contains(&start.elapsed()), "{line}: {:?}", start.elapsed());
        }
        tidegate.log.wait_for("the reason", |line| line.contains("no connection within the connect timeout"));
    }
}

const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A tidegate for which `registry.test` is ::1 and 127.0.0.1, by its own /etc/hosts. `None` where
/// this is not permitted.
fn with_two_addresses(port: u16) -> Option<Tidegate> {
    const MOUNT: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
    let limit = format!(r#""{}ms""#, LIMIT.as_millis());
    let settings = Settings::for_upstream(&format!("http://registry.test:{port}"))
        .set("upstream.connect_timeout", &limit);
    let hosts = settings.path().join("hosts");
    std::fs::write(&hosts, "::1 registry.test\n127.0.0.1 registry.test\n").unwrap();
    let runner = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, hosts.to_str().unwrap()];
    let known =
        Command::new(runner[0]).args(&runner[1..]).args(["getent", "ahosts", "registry.test"]).output();
    let known = known.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !known.is_ok_and(|known| known.contains("::1") && known.contains("127.0.0.1")) {
        eprintln!("skipped: cannot mount another /etc/hosts, or no IPv6");
        return None;
    }
    Some(Tidegate::start(settings.run_by(runner.map(str::to_owned).to_vec())))
}

#[test]
fn a_registry_at_one_of_two_addresses_is_reached() {
    for address in [V6, V4] {
        let Ok(listener) = TcpListener::bind((address, 0)) else { return eprintln!("skipped: no {address}") };
        let Some(tidegate) = with_two_addresses(listener.local_addr().unwrap().port()) else { return };
        std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer_once));
        let mut client = Client::connect(&tidegate);
        for _ in 0..3 {
            assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200, "{address}");
        }
    }
}

#[test]
fn an_address_that_accepts_no_connection_does_not_hide_the_next_one() {
    let Ok(listener) = TcpListener::bind((V4, 0)) else { return eprintln!("skipped: no IPv4") };
    let port = listener.local_addr().unwrap().port();
    let _hole = BlackHole::at((V6, port).into());
    let Some(tidegate) = with_two_addresses(port) else { return };
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer_once));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
}

#[test]
fn two_addresses_that_accept_no_connection_share_one_connect_timeout() {
    let Ok(listener) = TcpListener::bind((V6, 0)) else { return eprintln!("skipped: no IPv6") };
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let _holes = [V6, V4].map(|address| BlackHole::at((address, port).into()));
    let Some(tidegate) = with_two_addresses(port) else { return };
    let mut client = Client::connect(&tidegate);
    let start = Instant::now();
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 502);
    assert!((LIMIT..AT_MOST).contains(&start.elapsed()), "{:?}", start.elapsed());
}

/// Reads one request head, answers it, and closes.
fn answer_once(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if !stream.read_line(&mut line).is_ok_and(|read| read > 0) {
            return;
        }
    }
    let _ = stream.get_mut().write_all(ANSWER);
}

#[test]
fn no_request_fails_when_the_registry_closes_idle_connections_first() {
    let (closed, closes) = channel();
    let closed = Mutex::new(closed);
    let registry = Fake::start(move |conversation| {
        // Without a `Connection: close`.
        answer_once(conversation.socket());
        let _ = conversation.close();
        let _ = closed.lock().unwrap().send(());
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()).set("server.threads", "1"));
    let mut client = Client::connect(&tidegate);
    let upload = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
    let lines = ["GET /v2/".to_owned(), "POST /v2/a/blobs/uploads/".to_owned()];
    let writes = ["PATCH", "PUT", "DELETE"].map(|method| format!("{method} {upload}"));
    for _ in 0..20 {
        for line in lines.iter().chain(&writes) {
            assert_eq!(client.exchange(line, &[AUTH, "Content-Length: 0"]).status, 200, "{line}");
            closes.recv_timeout(DEADLINE).expect("the registry closes the connection");
        }
    }
}

/// An HTTP/2 connection with as many running requests as it may have.
struct Full {
    client: http2::Client,
    answers: Vec<ResponseFuture>,
}

fn get() -> Request<()> {
    http2::request("GET", "localhost", "/v2/", &[AUTH])
}

impl Full {
    fn of(tidegate: &Tidegate, streams: usize) -> Full {
        let mut client = http2::Client::connect(tidegate);
        let answers = (0..streams).map(|_| client.send(get(), true).0).collect();
        Full { client, answers }
    }
}

#[test]
fn a_request_that_finds_all_connections_to_the_registry_taken_gets_429_and_a_time_to_retry() {
    /// The connections of one worker.
    const MOST: usize = 2048;
    /// Streams of one connection, and those that the connections of a network share.
    const STREAMS: usize = 100;
    const OF_NETWORK: usize = 1600;
    const CLIENTS: usize = 24;
    let queue = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if queue.trim().parse::<usize>().unwrap() < 2 * MOST || descriptors.is_some_and(|most| most < 3000) {
        return eprintln!("skipped: this machine cannot hold {MOST} connections");
    }
    // The kernel completes the connections, and nobody answers.
    let registry = listen((V4, 0).into(), 2 * MOST as i32);
    let settings = Settings::for_upstream(&format!("http://{}", registry.local_addr().unwrap()))
        .set("server.threads", "1")
        .set("upstream.connect_timeout", r#""2s""#);
    let tidegate = Tidegate::start(settings);
    let streams = |connection: usize| (OF_NETWORK / connection).min(STREAMS);
    assert!((1..=CLIENTS).map(streams).sum::<usize>() > MOST);
    let full: Vec<_> = (1..=CLIENTS).map(|connection| Full::of(&tidegate, streams(connection))).collect();
    let mut client = Client::connect(&tidegate);
    let start = Instant::now();
    let refusal = client.exchange("GET /v2/", &[AUTH]);
    assert_refused_for_now(&refusal);
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
    // Clients that leave make room.
    for Full { client, answers } in full {
        drop((answers, client));
    }
    std::thread::spawn(move || registry.incoming().map_while(Result::ok).for_each(answer_once));
    let start = Instant::now();
    while client.exchange("GET /v2/", &[AUTH]).status != 200 {
        assert!(start.elapsed() < DEADLINE, "no room is made");
    }
}

fn assert_refused_for_now(response: &Response) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_eq!(response.error_code(), "TOOMANYREQUESTS");
    let seconds = response.all("Retry-After").first().map(|seconds| seconds.parse::<u32>().unwrap());
    assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{:?}", response.headers);
}
