use std::io::Write as _;

use proptest::prelude::*;
use proxy_header::Tlv;

use super::*;
use crate::server::accepted::Accepted;

/// A header of version 2 with any command and family.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [BINARY, &[command, family], &length, rest].concat()
}

fn header(bytes: &[u8], client: Option<&str>) -> Parsed {
    Parsed::Header { length: bytes.len(), client: client.map(|client| client.parse().unwrap()) }
}

const V4: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4];
const V6: &[u8] =
    b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x01\x02\x03\x04";
const MAPPED: &[u8] =
    b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x08\x01\x02\x03\x04";

/// Headers that are accepted, and the clients that they name.
fn valid() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let unix = [0; 216];
    let tlvs = [V4, &[3, 0, 4, 1, 2, 3, 4, 5, 0, 3, b'i', b'd', b'!']].concat();
    let longest = [V4, &[0; LONGEST_REST - 12]].concat();
    let text = |text: &str| text.as_bytes().to_vec();
    let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_TEXT - 16));
    assert_eq!(unknown.len(), LONGEST_TEXT);
    let longest_v6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    vec![
        (text("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"), Some("192.0.2.1")),
        (text("PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n"), Some("2001:db8::1")),
        (text("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 443\r\n"), Some("192.0.2.7")),
        (text(&format!("PROXY TCP6 {longest_v6} {longest_v6} 65535 65535\r\n")), Some(longest_v6)),
        (text("PROXY UNKNOWN\r\n"), None),
        (text(&format!("PROXY UNKNOWN {longest_v6} {longest_v6} 65535 65535\r\n")), None),
        (text(&unknown), None),
        (binary(0x21, 0x11, V4), Some("192.0.2.1")),
        (binary(0x21, 0x21, V6), Some("2001:db8::1")),
        (binary(0x21, 0x21, MAPPED), Some("192.0.2.7")),
        (binary(0x21, 0x11, &tlvs), Some("192.0.2.1")),
        (binary(0x21, 0x11, &longest), Some("192.0.2.1")),
        // No address of a client that speaks TCP over IP.
        (binary(0x21, 0, &[]), None),
        (binary(0x21, 0, V4), None),
        (binary(0x21, 0x12, V4), None),
        (binary(0x21, 0x22, V6), None),
        (binary(0x21, 0x31, &unix), None),
        (binary(0x21, 0x32, &unix), None),
        // Connections of the balancer itself: haproxy's, that of AWS, and others.
        (binary(0x20, 0, &[]), None),
        (binary(0x20, 0x11, &[V4, &[0; 72]].concat()), None),
        (binary(0x20, 0x11, &[1, 2, 3]), None),
        (binary(0x20, 0x31, &[]), None),
        (binary(0x20, 0xff, &tlvs), None),
    ]
}

#[test]
fn a_header_names_its_client_and_ends_where_it_says() {
    for (bytes, client) in valid() {
        assert_eq!(parse(&bytes), header(&bytes, client), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_no_header_is_rejected_as_soon_as_that_is_certain() {
    let text = |rest: &str| format!("PROXY {rest}").into_bytes();
    for (bytes, fault) in [
        (b"\x16\x03\x01\x02\0\x01".to_vec(), Fault::Tls),
        (b"GET /v2/ HTTP/1.1\r\n".to_vec(), Fault::Missing),
        (b"PO".to_vec(), Fault::Missing),
        (b"PROXYX".to_vec(), Fault::Missing),
        (b"proxy TCP4".to_vec(), Fault::Missing),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Fault::Missing),
        (b"\r\nPROXY".to_vec(), Fault::Missing),
        (b"\0".to_vec(), Fault::Missing),
        (text("TCP4 192.0.2.1 10.0.0.1 1 443\n\n"), Fault::Malformed),
        (text("UNKNOWN a\nb\r\n"), Fault::Malformed),
        (text("TCP4 2001:db8::1 2001:db8::2 1 443\r\n"), Fault::Malformed),
        (text("TCP4 192.0.2.256 10.0.0.1 1 443\r\n"), Fault::Malformed),
        (text("TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"), Fault::Malformed),
        (text("TCP4 192.0.2.1  10.0.0.1 1 443\r\n"), Fault::Malformed),
        (text("TCP5 192.0.2.1 10.0.0.1 1 443\r\n"), Fault::Malformed),
        (text("UDP4 192.0.2.1 10.0.0.1 1 443\r\n"), Fault::Malformed),
        (text(&"x".repeat(LONGEST_TEXT)), Fault::Malformed),
        // The end is not among the first bytes.
        (text(&format!("UNKNOWN {}\r\n", "x".repeat(LONGEST_TEXT - 15))), Fault::Malformed),
        (binary(0x11, 0x11, V4), Fault::Malformed),
        (binary(0x22, 0x11, V4), Fault::Malformed),
        (binary(0x21, 0x41, V4), Fault::Malformed),
        (binary(0x21, 0x11, &V4[1..]), Fault::Malformed),
        (binary(0x21, 0x21, V4), Fault::Malformed),
        (binary(0x21, 0x31, V4), Fault::Malformed),
        (binary(0x21, 0x11, &[0; LONGEST_REST + 1]), Fault::TooLong),
        (binary(0x20, 0, &[0; LONGEST_REST + 1])[..FIXED_PART].to_vec(), Fault::TooLong),
    ] {
        let then_tls = [&bytes[..], b"\x16\x03\x01\x02\0\x01"].concat();
        for bytes in [bytes, then_tls] {
            assert_eq!(parse(&bytes), Parsed::Rejected(fault), "{}", bytes.escape_ascii());
        }
    }
}

fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let address = any::<(std::net::SocketAddr, std::net::SocketAddr)>();
    let tlvs = prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..64)), 0..8);
    let generated = (address, tlvs, any::<bool>()).prop_map(|((source, other), tlvs, is_text)| {
        let destination = if other.is_ipv4() == source.is_ipv4() { other } else { source };
        let mut bytes = Vec::new();
        let addresses = ProxiedAddress::stream(source, destination);
        if is_text {
            ProxyHeader::with_address(addresses).encode_v1(&mut bytes).unwrap();
        } else {
            let tlvs = tlvs.iter().map(|(kind, value)| Tlv::Custom(*kind, value.into()));
            ProxyHeader::with_tlvs(Some(addresses), tlvs).encode_v2(&mut bytes).unwrap();
        }
        bytes
    });
    prop_oneof![generated, prop::sample::select(valid()).prop_map(|(bytes, _)| bytes)]
}

proptest! {
    #[test]
    fn a_header_is_the_same_in_any_pieces_and_before_anything(
        bytes in any_header(),
        after in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let whole = parse(&bytes);
        let is_all = matches!(whole, Parsed::Header { length, .. } if length == bytes.len());
        prop_assert!(is_all, "{whole:?}");
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "{}", end);
        }
        prop_assert_eq!(parse(&[bytes, after].concat()), whole);
    }

    #[test]
    fn any_bytes_are_judged_without_panic_and_once_and_for_all(
        begin in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", BINARY, b"\r\n\r\n\0\r\nQUIT\n\x21"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [begin, &bytes].concat();
        let mut before = Parsed::Incomplete;
        for end in 0..=bytes.len() {
            let now = parse(&bytes[..end]);
            if before != Parsed::Incomplete {
                prop_assert_eq!(now, before);
            }
            if let Parsed::Header { length, .. } = now {
                prop_assert!(length <= end);
            }
            before = now;
        }
    }
}

/// A connection on which `first` has arrived and then its end, and what was taken off it.
async fn taken(first: &[&[u8]]) -> (Result<Option<Option<IpAddr>>, Fault>, BytesMut) {
    let (accepted, mut client) = Accepted::with_client().await;
    let meter = Meter::new(tokio::net::TcpStream::from_std(accepted.socket).unwrap());
    let pieces: Vec<Vec<u8>> = first.iter().map(|piece| piece.to_vec()).collect();
    let writer = std::thread::spawn(move || {
        client.set_nodelay(true).unwrap();
        for piece in pieces {
            client.write_all(&piece).unwrap();
        }
    });
    let mut received = BytesMut::new();
    let taken = take(&meter, &mut received).await;
    writer.join().unwrap();
    (taken, received)
}

#[tokio::test]
async fn nothing_after_a_header_is_lost() {
    for (bytes, client) in valid() {
        let client = client.map(|client| client.parse().unwrap());
        let glued = [&bytes[..], b"\x16\x03\x01"].concat();
        assert_eq!(taken(&[&glued]).await, (Ok(Some(client)), b"\x16\x03\x01"[..].into()));
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(taken(&pieces).await, (Ok(Some(client)), BytesMut::new()));
    }
}

#[tokio::test]
async fn a_check_that_sends_nothing_is_not_a_fault_and_half_a_header_is() {
    assert_eq!(taken(&[]).await, (Ok(None), BytesMut::new()));
    let half = &b"PROXY TCP4 192.0"[..];
    assert_eq!(taken(&[half]).await, (Err(Fault::Cut), half.into()));
    let tls = &b"\x16\x03\x01"[..];
    assert_eq!(taken(&[tls]).await, (Err(Fault::Tls), tls.into()));
}
