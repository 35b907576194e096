use std::io::{Read, Write};

use proptest::prelude::*;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, ContentType, Error, RootCertStore,
    SupportedProtocolVersion,
};

use super::*;
use crate::crypto::fixtures::Forger;
use crate::crypto::provider;
use crate::pki::fixtures::Signer;

mod frames;

const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 1];

/// A session and its client, which is rustls with its own buffers.
struct Pair {
    session: Session,
    client: ClientConnection,
    /// The data that the client has received.
    received: Vec<u8>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::with_tickets(version, 2)
    }

    fn with_tickets(version: &'static SupportedProtocolVersion, tickets: usize) -> Self {
        let ca = Signer::new("ca");
        let (certificate, key) = ca.server(&["a.test"]);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        server.enable_secret_extraction = true;
        server.send_tls13_tickets = tickets;
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate.der().clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.enable_secret_extraction = true;
        let name = ServerName::try_from("a.test").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        client.set_buffer_limit(None);
        Self {
            session: Session::new(Arc::new(server), BytesMut::new()).unwrap(),
            client,
            received: Vec::new(),
        }
    }

    fn after_handshake(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        pair.shake_hands(4_096);
        pair
    }

    /// Completes the handshake; records travel in pieces of `piece` bytes.
    fn shake_hands(&mut self, piece: usize) {
        while self.client.is_handshaking() || self.session.is_handshaking() {
            assert!(self.upload(piece, 0).is_empty());
            self.download(piece);
        }
    }

    /// Moves the client's records to the session. Returns their content, read `size` bytes at a
    /// time.
    fn upload(&mut self, piece: usize, size: usize) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).unwrap();
        }
        let mut content = Vec::new();
        for piece in wire.chunks(piece) {
            content.extend(feed(&mut self.session, piece, size).unwrap());
        }
        content
    }

    /// Moves the session's records to the client.
    fn download(&mut self, piece: usize) {
        let mut wire = Vec::new();
        let drained = self.session.poll_drain(|records| {
            let piece = &records[..records.len().min(piece)];
            wire.extend_from_slice(piece);
            Poll::Ready(Ok(piece.len()))
        });
        assert!(matches!(drained, Poll::Ready(Ok(()))));
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).unwrap();
            self.client.process_new_packets().unwrap();
            if let Err(error) = self.client.reader().read_to_end(&mut self.received) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        }
    }

    /// The session, and the client's key for sealing records of any kind.
    fn forge(self) -> (Session, Forger) {
        (self.session, Forger::of(self.client))
    }

    /// Lets everything arrive that the client has to send.
    fn arrive(&mut self) {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).unwrap();
        }
        _ = self.session.poll_fill(|room| {
            room.extend_from_slice(&wire);
            Poll::Ready(Ok(wire.len()))
        });
    }
}

/// Passes bytes to the session as a socket does, and returns all data that it reads.
fn feed(session: &mut Session, mut bytes: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    while !bytes.is_empty() {
        let filled = session.poll_fill(|room| {
            let (now, later) = bytes.split_at(bytes.len().min(room.capacity() - room.len()));
            room.extend_from_slice(now);
            bytes = later;
            Poll::Ready(Ok(now.len()))
        });
        match filled {
            Poll::Ready(Ok(1..)) => {}
            other => return Err(Error::General(format!("{other:?}"))),
        }
        loop {
            let mut buffer = vec![0; size];
            let mut buffer = ReadBuf::new(&mut buffer);
            session.read(&mut buffer)?;
            if buffer.filled().is_empty() {
                break;
            }
            content.extend_from_slice(buffer.filled());
        }
    }
    Ok(content)
}

fn write(session: &mut Session, slices: &[&[u8]]) -> usize {
    session.write(&slices.iter().map(|slice| IoSlice::new(slice)).collect::<Vec<_>>()).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bytes_arrive_whole_and_in_order_however_they_are_cut(
        is_old in any::<bool>(),
        piece in prop_oneof![1..40_usize, 1..20_000_usize, Just(1 << 20)],
        size in prop_oneof![1..40_usize, 1..20_000_usize, Just(1 << 20)],
        up in 0..300_000_usize,
        slices in prop::collection::vec(prop_oneof![0..100_usize, 0..40_000_usize, Just(CONTENT)], 1..20),
    ) {
        let mut pair = Pair::new(if is_old { &TLS12 } else { &TLS13 });
        pair.shake_hands(piece);
        let sent = content(up);
        pair.client.writer().write_all(&sent).unwrap();
        prop_assert!(pair.upload(piece, size) == sent);

        let sent = content(slices.iter().sum());
        let mut done = 0;
        while done < sent.len() {
            let mut from = 0;
            let slices: Vec<&[u8]> = slices
                .iter()
                .map(|length| {
                    let start = from;
                    from += length;
                    &sent[start.max(done).min(from)..from]
                })
                .collect();
            match write(&mut pair.session, &slices) {
                0 => pair.download(piece),
                written => done += written,
            }
        }
        pair.download(piece);
        prop_assert!(pair.received == sent);
    }
}

#[test]
fn a_batch_is_full_at_its_size_and_takes_more_when_it_is_sent() {
    let mut pair = Pair::after_handshake(&TLS13);
    let (data, mut done) = (content(2 * BATCH), 0);
    loop {
        match write(&mut pair.session, &[&data[done..]]) {
            0 => break,
            written => done += written,
        }
    }
    assert!((BATCH..BATCH + CONTENT).contains(&done), "{done}");
    pair.download(usize::MAX);
    assert!(pair.received == data[..done]);
    assert!(write(&mut pair.session, &[&data]) > 0);
}

#[test]
fn a_head_and_a_short_body_are_one_record() {
    let mut pair = Pair::after_handshake(&TLS13);
    assert_eq!(write(&mut pair.session, &[b"head", b"", b"body"]), 8);
    assert_eq!(pair.session.outgoing.len(), 5 + 8 + 17);
    assert_eq!(write(&mut pair.session, &[&[0; 9], &content(CONTENT)]), CONTENT);
}

#[test]
fn with_nothing_on_its_way_no_buffer_is_held() {
    let mut pair = Pair::after_handshake(&TLS13);
    pair.client.writer().write_all(&content(200_000)).unwrap();
    assert_eq!(pair.upload(50_000, 100).len(), 200_000);
    assert!(write(&mut pair.session, &[&content(100_000)]) > 0);
    pair.download(usize::MAX);
    assert!(pair.session.poll_fill(|_| Poll::Pending).is_pending());
    let Session { incoming, plaintext, outgoing, .. } = &pair.session;
    assert_eq!((incoming.capacity(), plaintext.capacity(), outgoing.capacity()), (0, 0, 0));
}

#[test]
fn what_is_given_back_is_read_before_what_came_later() {
    let mut pair = Pair::after_handshake(&TLS13);
    pair.client.writer().write_all(b"one two three").unwrap();
    let wire = {
        let mut wire = Vec::new();
        pair.client.write_tls(&mut wire).unwrap();
        wire
    };
    let (mut first, mut rest) = ([0; 3], [0; 20]);
    _ = pair.session.poll_fill(|room| {
        room.extend_from_slice(&wire);
        Poll::Ready(Ok(wire.len()))
    });
    pair.session.read(&mut ReadBuf::new(&mut first)).unwrap();
    pair.session.put_back(b"ONE");
    let mut rest = ReadBuf::new(&mut rest);
    pair.session.read(&mut rest).unwrap();
    assert_eq!(rest.filled(), b"ONE two three");
}

#[test]
fn a_key_update_in_two_records_may_have_an_answer_between_them() {
    let (mut session, mut forger) = Pair::after_handshake(&TLS13).forge();
    let (first, second) = KEY_UPDATE.split_at(3);
    assert!(feed(&mut session, &forger.seal(ContentType::Handshake, first), 100).unwrap().is_empty());
    assert_eq!(write(&mut session, &[b"answer"]), 6);
    let before = session.outgoing.len();
    let second = forger.seal(ContentType::Handshake, second);
    assert!(feed(&mut session, &second[..7], 100).unwrap().is_empty());
    assert_eq!(write(&mut session, &[b"answer"]), 6);
    assert!(feed(&mut session, &second[7..], 100).unwrap().is_empty());
    assert_eq!(write(&mut session, &[b"answer"]), 6);
    // Our key update is sent before the next data.
    assert_eq!(session.outgoing.len(), before + 2 * (5 + 6 + 17) + (5 + KEY_UPDATE.len() + 17));
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_for_the_record_layer() {
    for tickets in [0, 2] {
        let mut pair = Pair::with_tickets(&TLS13, tickets);
        while pair.client.is_handshaking() {
            assert!(pair.upload(usize::MAX, 0).is_empty());
            pair.download(usize::MAX);
        }
        let sent = content(20_000);
        pair.client.writer().write_all(&sent[..10]).unwrap();
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&sent[10..]).unwrap();
        pair.arrive();
        pair.session.read(&mut ReadBuf::new(&mut [])).unwrap();
        assert!(!pair.session.is_handshaking());
        assert!(matches!(pair.session.tls, Tls::Records(_)));
        let mut received = vec![0; sent.len()];
        let mut buffer = ReadBuf::new(&mut received);
        while buffer.remaining() > 0 {
            pair.session.read(&mut buffer).unwrap();
        }
        assert!(received == sent);
        assert_eq!(write(&mut pair.session, &[b"with ", b"new keys"]), 13);
        pair.download(usize::MAX);
        assert_eq!(pair.received, b"with new keys");
    }
}

#[test]
fn what_a_handshake_was_is_known_after_it() {
    for (version, kind) in [(&TLS12, TlsSession::Tls12Full), (&TLS13, TlsSession::Tls13Full)] {
        let mut pair = Pair::new(version);
        assert!(pair.session.is_handshaking());
        pair.shake_hands(100);
        assert_eq!(pair.session.kind(), kind);
        assert!(!pair.session.is_http2() && !pair.session.is_challenge());
        assert!(pair.session.take_certificates().is_empty());
    }
}

#[test]
fn an_answer_leaves_what_came_and_was_not_read_in_order() {
    let mut pair = Pair::after_handshake(&TLS13);
    let sent = content(100_000);
    pair.client.writer().write_all(&sent).unwrap();
    pair.arrive();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let mut buffer = [0; 777];
        let mut buffer = ReadBuf::new(&mut buffer);
        pair.session.read(&mut buffer).unwrap();
        received.extend_from_slice(buffer.filled());
        assert_eq!(write(&mut pair.session, &[b"answer"]), 6);
    }
    assert!(received == sent);
}

#[test]
fn after_a_fault_there_is_an_alert_and_nothing_more() {
    let (mut session, mut forger) = Pair::after_handshake(&TLS13).forge();
    assert!(session.poll_drain(|records| Poll::Ready(Ok(records.len()))).is_ready());
    let half = forger.seal(ContentType::Handshake, &KEY_UPDATE[..3]);
    let between = forger.seal(ContentType::ApplicationData, b"GET /");
    let fault = feed(&mut session, &[half, between].concat(), 100).unwrap_err();
    assert!(matches!(fault, Error::PeerMisbehaved(_)), "{fault}");
    assert_eq!(session.read(&mut ReadBuf::new(&mut [0; 100])).unwrap_err(), fault);
    assert_eq!(session.write(&[IoSlice::new(b"answer")]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(session.end().unwrap_err().kind(), ErrorKind::BrokenPipe);

    let mut pair = Pair::after_handshake(&TLS13);
    let forged = [&[23, 3, 3, 0, 20][..], &[7; 20]].concat();
    assert_eq!(feed(&mut pair.session, &forged, 100).unwrap_err(), Error::DecryptError);
    let mut wire = Vec::new();
    assert!(
        pair.session
            .poll_drain(|records| {
                wire.extend_from_slice(records);
                Poll::Ready(Ok(records.len()))
            })
            .is_ready()
    );
    pair.client.read_tls(&mut wire.as_slice()).unwrap();
    let alert = pair.client.process_new_packets().unwrap_err();
    assert_eq!(alert, Error::AlertReceived(AlertDescription::BadRecordMac));
}

#[test]
fn both_sides_end_in_any_order() {
    for client_first in [true, false] {
        let mut pair = Pair::after_handshake(&TLS13);
        assert!(!pair.session.has_client_ended());
        if client_first {
            pair.client.send_close_notify();
            assert!(pair.upload(3, 100).is_empty());
            assert!(pair.session.has_client_ended());
            assert_eq!(write(&mut pair.session, &[b"still"]), 5);
        }
        pair.session.end().unwrap();
        pair.session.end().unwrap();
        assert_eq!(pair.session.write(&[IoSlice::new(b"late")]).unwrap_err().kind(), ErrorKind::BrokenPipe);
        pair.download(3);
        assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0);
        if !client_first {
            pair.client.writer().write_all(b"still").unwrap();
            pair.client.send_close_notify();
            assert_eq!(pair.upload(3, 100), b"still");
            assert!(pair.session.has_client_ended());
        }
    }
}

#[test]
fn a_message_in_endless_crumbs_is_refused() {
    let mut pair = Pair::new(&TLS13);
    let hello = [&[1, 0, 0xf0, 0][..], &[0; 0xf000]].concat();
    let crumbs: Vec<u8> = hello.iter().flat_map(|&byte| [22, 3, 3, 0, 1, byte]).collect();
    assert!(crumbs.len() > BULK_READ);
    assert!(feed(&mut pair.session, &crumbs, 0).is_err());
}
