//! Clients that hold connections and say nothing, beside others that want one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{Client, authorized};
use crate::harness::http2;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

/// How soon a user gets an answer. Two seconds are promised; a busy machine may need more.
const SOON: Duration = Duration::from_secs(6);
/// The address of a user beside a crowd on 127.0.0.1.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn start(recorder: &Recorder, connections: usize) -> Tidegate {
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.threads", "1")
        .set("server.plain", r#"["127.0.0.1:0"]"#)
        .set("limits.handshake_timeout", r#""60s""#)
        .set("limits.header_timeout", r#""60s""#)
        .set("limits.connections", &connections.to_string());
    Tidegate::start(settings)
}

fn socket_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// Whether a user on another address gets an answer soon.
fn serves_another(tidegate: &Tidegate) {
    let begun = Instant::now();
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    let tls = Tls::over("localhost", socket_from(OTHER, tidegate.address), config).unwrap();
    assert_eq!(Client::over(tls).exchange("GET /v2/", &[&authorized()]).status, 200);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// An HTTP/2 connection that has asked one anonymous request and then neither sends nor reads.
fn silent(tidegate: &Tidegate) -> std::io::Result<Frames> {
    let mut tls = Tls::connect_with(tidegate.address, tidegate.settings.authority.client(&["h2"]))?;
    let settings = Frame::new(frames::SETTINGS, 0, 0, &[]);
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/v2/")];
    let request = frames::head(1, frames::END_STREAM, &fields);
    tls.send(&[frames::PREFACE, &settings.bytes(), &request.bytes()].concat())?;
    let mut frames = Frames::over(tls);
    while frames.next()?.is_some_and(|frame| !(frame.stream == 1 && frame.ends_stream())) {}
    Ok(frames)
}

/// The frames that are left, until the connection ends.
fn rest(mut connection: Frames) -> Vec<Frame> {
    std::iter::from_fn(|| connection.next().unwrap()).collect()
}

#[test]
fn a_silent_http2_connection_gets_the_header_timeout_and_a_short_goodbye() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.header_timeout", r#""1s""#);
    let tidegate = Tidegate::start(settings);
    let connection = silent(&tidegate).unwrap();
    let begun = Instant::now();
    let left = rest(connection);
    assert!(left.iter().any(|frame| frame.kind == frames::GOAWAY), "{left:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn an_http2_connection_whose_only_upload_stalls_ends_with_it() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("limits.idle_timeout", r#""1s""#)
        .set("limits.header_timeout", r#""60s""#);
    let tidegate = Tidegate::start(settings);
    let mut connection = silent(&tidegate).unwrap();
    let fields = [
        (":method", "PATCH"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/v2/a/blobs/uploads/6f1bbbf1-1f0a-4c5e-9d55-8f6c2f0a1b2c"),
        ("authorization", crate::harness::BASIC),
        ("content-length", "100000"),
    ];
    let begun = Instant::now();
    connection.tls.send(&frames::head(3, 0, &fields).bytes()).unwrap();
    connection.tls.send(&Frame::new(frames::DATA, 0, 3, &[7; 100]).bytes()).unwrap();
    let left = rest(connection);
    assert!(left.iter().any(|frame| frame.stream == 3 && frame.kind == frames::HEADERS), "{left:?}");
    assert!(left.iter().any(|frame| frame.kind == frames::GOAWAY), "{left:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn the_connection_that_is_idle_for_longest_makes_room() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder, 3);
    let (mut first, mut second) = (Client::connect(&tidegate), Client::connect(&tidegate));
    assert_eq!(second.exchange("GET /v2/", &[&authorized()]).status, 200);
    assert_eq!(first.exchange("GET /v2/", &[&authorized()]).status, 200);
    let _third = silent(&tidegate).unwrap();
    serves_another(&tidegate);
    assert!(second.ends());
    assert_eq!(first.exchange("GET /v2/", &[&authorized()]).status, 200);
}

#[test]
fn silent_http2_connections_of_one_address_do_not_keep_another_out() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder, 32);
    let crowd: Vec<Frames> = (0..31).map_while(|_| silent(&tidegate).ok()).collect();
    assert_eq!(crowd.len(), 31, "without others, one network may have more than its share");
    std::thread::scope(|scope| {
        // They come again as soon as they are closed.
        let attack = scope.spawn(|| (0..60).filter_map(|_| silent(&tidegate).ok()).count());
        for _ in 0..8 {
            serves_another(&tidegate);
        }
        attack.join().unwrap();
    });
    drop(crowd);
}

#[test]
fn sockets_without_a_handshake_do_not_keep_others_out() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder, 4);
    let _silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(tidegate.address).unwrap()).collect();
    serves_another(&tidegate);
    let mut same_address = Client::connect(&tidegate);
    assert_eq!(same_address.exchange("GET /v2/", &[&authorized()]).status, 200);
}

#[test]
fn plain_listeners_have_places_of_their_own() {
    use std::io::{Read, Write};
    let recorder = Recorder::start();
    let tidegate = start(&recorder, 4);
    let _silent: Vec<TcpStream> = (0..12).map(|_| TcpStream::connect(tidegate.plain()).unwrap()).collect();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(&tidegate)).collect();
    serves_another(&tidegate);
    for client in &mut clients {
        assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200, "none has lost its place");
    }
    let mut other = socket_from(OTHER, tidegate.plain());
    other.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer:?}");
}

#[test]
fn a_proxy_that_is_trusted_may_have_every_place() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("limits.connections_per_ip", "1")
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#);
    let tidegate = Tidegate::start(settings);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&tidegate)).collect();
    for client in &mut clients {
        assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    }
}

#[test]
fn a_crowd_on_one_address_shares_its_places_fairly() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder, 2);
    for _ in 0..6 {
        let mut client = http2::Client::connect(&tidegate);
        let request = http2::request("GET", "localhost", "/v2/", &[&authorized()]);
        assert_eq!(client.exchange(request).status(), 200);
        std::mem::forget(client);
    }
}
