//! Connections of load balancers that name the client in a PROXY protocol header.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::haproxy::Haproxy;
use crate::harness::http1::{Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::{DEADLINE, admin};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const WARNING: &str = "server.proxy_protocol: closed a connection of a peer, because ";

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// Addresses of a client in version 2.
fn from(client: [u8; 4]) -> Vec<u8> {
    [&client[..], &[10, 0, 0, 1, 220, 4, 1, 187]].concat()
}

fn settings(recorder: &Recorder) -> Settings {
    admin::settings(&recorder.url())
        .set("server.proxy_protocol", "true")
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
}

/// A connection from a loopback address.
fn connect(source: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// A client behind a balancer that sends `header` in one piece with the ClientHello.
fn try_client(tidegate: &Tidegate, header: &[u8]) -> std::io::Result<Client> {
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    Tls::over_behind(header, "localhost", connect("127.0.0.1", tidegate.address), config).map(Client::over)
}

/// Sends `bytes` and nothing else, and returns what comes back until the connection ends.
fn answer_to(mut socket: TcpStream, bytes: &[u8]) -> Vec<u8> {
    _ = socket.write_all(bytes);
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return answer,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

fn warnings(tidegate: &Tidegate) -> Vec<String> {
    tidegate.log.so_far().into_iter().filter(|line| line.contains("WARN")).collect()
}

/// The warnings, once there is one with this text.
fn warnings_until(tidegate: &Tidegate, text: &str) -> Vec<String> {
    tidegate.log.wait_for(text, |line| line.contains("WARN") && line.contains(text));
    warnings(tidegate)
}

fn metric(tidegate: &Tidegate, series: &str) -> u64 {
    let page = admin::ask(tidegate, "GET /metrics", &[]).body;
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value).unwrap_or_else(|| panic!("no {series} in {page}"))
}

fn failures(tidegate: &Tidegate, reason: &str) -> u64 {
    metric(tidegate, &format!("tidegate_handshake_failures_total{{reason=\"{reason}\"}}"))
}

/// Waits until no connection is open, so that all are counted.
fn wait_for_quiet(tidegate: &Tidegate) {
    admin::wait_for(tidegate, "GET /metrics", |answer| {
        answer.body.lines().any(|line| line == "tidegate_connections 0")
    });
}

/// The client and the peer in the last line of the access log, of which there are `lines`.
fn logged(tidegate: &Tidegate, lines: usize) -> (IpAddr, IpAddr) {
    let line = tidegate.access.wait_after(lines - 1, "the line", |line| line.starts_with('{'));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
    (address("client"), address("peer"))
}

#[test]
fn the_client_in_the_header_is_the_client_in_the_log_and_for_the_registry() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder));
    let tlvs = [from([192, 0, 2, 7]), vec![3, 0, 4, 1, 2, 3, 4, 5, 0, 2, b'i', b'd']].concat();
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 443\r\n".to_vec();
    for (number, (header, client)) in [
        (V1.to_vec(), "192.0.2.7"),
        (mapped, "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n".to_vec(), "2001:db8::7"),
        (v2(0x21, 0x11, &from([192, 0, 2, 7])), "192.0.2.7"),
        (v2(0x21, 0x11, &tlvs), "192.0.2.7"),
        (v2(0x21, 0x11, &[tlvs, vec![0; 4000]].concat()), "192.0.2.7"),
        // The checks of haproxy, of AWS and of Google.
        (v2(0x20, 0, &[]), "127.0.0.1"),
        (v2(0x20, 0x11, &[7; 84]), "127.0.0.1"),
        (UNKNOWN.to_vec(), "127.0.0.1"),
        (v2(0x20, 0xff, &[]), "127.0.0.1"),
    ]
    .into_iter()
    .enumerate()
    {
        let spoofed = "X-Forwarded-For: 198.51.100.1";
        let mut one = try_client(&tidegate, &header).unwrap();
        assert_eq!(one.exchange("GET /v2/", &[&authorized(), spoofed]).status, 200);
        let seen = recorder.settle().unwrap().requests.remove(0);
        assert_eq!(seen.all("X-Real-IP"), [client], "{}", header.escape_ascii());
        assert_eq!(seen.all("X-Forwarded-For"), [client]);
        let expected = (client.parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert_eq!(logged(&tidegate, number + 1), expected);
    }
    assert_eq!((failures(&tidegate, "proxy_header"), warnings(&tidegate).len()), (0, 0));
}

#[test]
fn fields_of_a_proxy_behind_the_balancer_count_if_it_is_trusted() {
    let recorder = Recorder::of_clients();
    let trusted = r#"["127.0.0.1", "192.0.2.0/24"]"#;
    let tidegate = Tidegate::start(settings(&recorder).set("server.trusted_proxies", trusted));
    let mut client = try_client(&tidegate, V1).unwrap();
    client.exchange("GET /v2/", &[&authorized(), "X-Forwarded-For: 198.51.100.1"]);
    let seen = recorder.settle().unwrap().requests.remove(0);
    assert_eq!(seen.all("X-Real-IP"), ["198.51.100.1"]);
    assert_eq!(seen.all("X-Forwarded-For"), ["198.51.100.1, 192.0.2.7"]);
}

#[test]
fn a_header_may_come_one_byte_at_a_time() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder));
    for header in [V1.to_vec(), v2(0x21, 0x11, &from([192, 0, 2, 7]))] {
        let mut socket = connect("127.0.0.1", tidegate.address);
        header.chunks(1).for_each(|byte| socket.write_all(byte).unwrap());
        let config = tidegate.settings.authority.client(&["http/1.1"]);
        let mut client = Client::over(Tls::over("localhost", socket, config).unwrap());
        assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
        assert_eq!(recorder.settle().unwrap().requests[0].all("X-Real-IP"), ["192.0.2.7"]);
    }
}

#[test]
fn a_balancer_that_sends_no_header_is_cut_off_and_named_once() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder));
    assert!(try_client(&tidegate, b"").is_err(), "TLS at once");
    for bytes in [
        b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"PROXY TCP4 nobody nowhere 1 2\r\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
        v2(0x21, 0x11, &[0; 4097])[..16].to_vec(),
        v2(0x31, 0x11, &from([192, 0, 2, 7])),
    ] {
        let answer = answer_to(connect("127.0.0.1", tidegate.address), &bytes);
        assert_eq!(answer, b"", "{}", bytes.escape_ascii());
    }
    let mut half = connect("127.0.0.1", tidegate.address);
    half.write_all(&V1[..20]).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer_to(half, b""), b"");
    assert_eq!(failures(&tidegate, "proxy_header"), 8);
    let warnings = warnings_until(&tidegate, WARNING);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains(&format!("{WARNING}it began with TLS")), "{warnings:?}");
    assert!(tidegate.access.so_far().is_empty() && recorder.record().requests.is_empty());
}

#[test]
fn a_stranger_is_cut_off_before_anything_is_read() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder));
    for source in ["127.0.0.2", "127.0.0.2", "127.0.0.3"] {
        // Even without a byte from it.
        assert_eq!(answer_to(connect(source, tidegate.address), b""), b"");
        assert_eq!(answer_to(connect(source, tidegate.address), V1), b"");
    }
    assert_eq!(failures(&tidegate, "proxy_header"), 6);
    let warnings = warnings_until(&tidegate, "127.0.0.3");
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains(&format!("{WARNING}it is not in server.trusted_proxies")), "{warnings:?}");
    assert!(warnings[0].contains("127.0.0.2") && warnings[1].contains("127.0.0.3"), "{warnings:?}");
}

#[test]
fn a_check_that_only_connects_is_neither_a_fault_nor_a_line() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder));
    for header in [&b""[..], &v2(0x20, 0, &[]), UNKNOWN, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 443\r\n"] {
        let mut ended = connect("127.0.0.1", tidegate.address);
        ended.write_all(header).unwrap();
        drop(ended);
        let mut reset = connect("127.0.0.1", tidegate.address);
        reset.write_all(header).unwrap();
        SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
        drop(reset);
    }
    admin::wait_for(&tidegate, "GET /metrics", |answer| {
        answer
            .body
            .lines()
            .any(|line| line.starts_with("tidegate_connections_accepted") && line.ends_with(" 8"))
    });
    wait_for_quiet(&tidegate);
    for reason in ["proxy_header", "closed", "timeout", "protocol"] {
        assert_eq!(failures(&tidegate, reason), 0, "{reason}");
    }
    assert_eq!(warnings(&tidegate), [""; 0]);
}

#[test]
fn half_a_header_is_given_the_time_of_a_handshake() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder).set("limits.handshake_timeout", r#""500ms""#));
    assert_eq!(answer_to(connect("127.0.0.1", tidegate.address), &V1[..20]), b"");
    assert_eq!(answer_to(connect("127.0.0.1", tidegate.address), V1), b"", "a header and no TLS");
    assert_eq!(failures(&tidegate, "timeout"), 2);
}

#[test]
fn the_limit_per_address_counts_the_clients_behind_the_balancer() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder).set("limits.connections_per_ip", "3"));
    let at_once = || {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12).map(|_| scope.spawn(|| try_client(&tidegate, V1).ok())).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<Client>>()
        })
    };
    let mut clients = at_once();
    assert_eq!(clients.len(), 3);
    for client in &mut clients {
        assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    }
    let others: Vec<Client> = (1..=20)
        .map(|host| try_client(&tidegate, &v2(0x21, 0x11, &from([198, 51, 100, host]))).unwrap())
        .collect();
    let checks: Vec<Client> = (0..5).map(|_| try_client(&tidegate, UNKNOWN).unwrap()).collect();
    drop((clients, others, checks));
    wait_for_quiet(&tidegate);
    assert_eq!(at_once().len(), 3);
}

#[test]
fn a_reload_applies_to_new_connections() {
    let recorder = Recorder::of_clients();
    let tidegate = Tidegate::start(settings(&recorder).set("server.proxy_protocol", "false"));
    let mut before = try_client(&tidegate, b"").unwrap();
    let text = tidegate.settings.toml().replace("proxy_protocol = false", "proxy_protocol = true");
    std::fs::write(tidegate.settings.file(), text).unwrap();
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_eq!(before.exchange("GET /v2/", &[&authorized()]).status, 200);
    let mut after = try_client(&tidegate, V1).unwrap();
    assert_eq!(after.exchange("GET /v2/", &[&authorized()]).status, 200);
    assert!(try_client(&tidegate, b"").is_err());
    assert_eq!(recorder.settle().unwrap().requests[1].all("X-Real-IP"), ["192.0.2.7"]);
}

#[test]
fn haproxy_names_its_clients_and_its_checks_are_no_faults() {
    for options in [
        "send-proxy check inter 50ms",
        "send-proxy check check-send-proxy inter 50ms",
        "send-proxy-v2 check check-send-proxy inter 50ms",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy inter 50ms",
    ] {
        let recorder = Recorder::of_clients();
        let tidegate = Tidegate::start(settings(&recorder));
        let haproxy = Haproxy::before(tidegate.address, options);
        let config = tidegate.settings.authority.client(&["http/1.1"]);
        let socket = connect("127.0.0.3", haproxy.address);
        let mut client = Client::over(Tls::over("localhost", socket, config).expect(options));
        let spoofed = "X-Forwarded-For: 198.51.100.1";
        assert_eq!(client.exchange("GET /v2/", &[&authorized(), spoofed]).status, 200, "{options}");
        let expected = ("127.0.0.3".parse().unwrap(), "127.0.0.1".parse().unwrap());
        assert_eq!(logged(&tidegate, 1), expected, "{options}");
        assert_eq!(recorder.settle().unwrap().requests[0].all("X-Real-IP"), ["127.0.0.3"]);
        let accepted = format!("tidegate_connections_accepted_total{{listener=\"{}\"}}", tidegate.address);
        admin::wait_for(&tidegate, "GET /metrics", |_| metric(&tidegate, &accepted) >= 8);
        drop((client, haproxy));
        wait_for_quiet(&tidegate);
        for reason in ["proxy_header", "closed", "timeout", "protocol"] {
            assert_eq!(failures(&tidegate, reason), 0, "{options}: {reason}");
        }
        assert_eq!(warnings(&tidegate), [""; 0], "{options}");
    }
}
