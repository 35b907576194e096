use std::io::{ErrorKind, Read, Write};

use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ProtocolVersion, SupportedCipherSuite};

use super::*;
use crate::crypto::AFTER;
use crate::crypto::fixtures::{Forger, after_handshake};

const SUITES: [SupportedCipherSuite; 3] =
    [suite::TLS13_AES_128_GCM_SHA256, suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256];
const APPLICATION_DATA: ContentType = ContentType::ApplicationData;
const HANDSHAKE: ContentType = ContentType::Handshake;
const ALERT_TYPE: ContentType = ContentType::Alert;
const ASKING: [u8; 5] = [KEY_UPDATE, 0, 0, 1, UPDATE_REQUESTED];
const SILENT: [u8; 5] = [KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED];

/// The record layer of a server, and a client of rustls with only `suite`.
struct Pair {
    client: ClientConnection,
    records: Records,
}

impl Pair {
    fn new(suite: SupportedCipherSuite) -> Self {
        let (client, records) = after_handshake(suite);
        Self { client, records }
    }

    /// The server, and the client's key for sealing records of any kind.
    fn forge(suite: SupportedCipherSuite) -> (Records, Forger) {
        let Self { client, records } = Self::new(suite);
        (records, Forger::of(client))
    }

    /// Opens what the client has to send, and returns the data.
    fn upload(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).unwrap();
        }
        open_all(&mut self.records, &mut wire).unwrap().0
    }

    /// Passes records to the client, and returns their data.
    fn download(&mut self, mut wire: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).unwrap();
            self.client.process_new_packets().unwrap();
            if let Err(error) = self.client.reader().read_to_end(&mut data) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        }
        data
    }

    /// Seals data as a session does, record by record.
    fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for content in data.chunks(CONTENT) {
            wire.extend(self.records.key_update().unwrap().into_iter().flatten());
            let mut record = vec![0; content.len() + OVERHEAD];
            self.records.seal(content, &mut record).unwrap();
            wire.append(&mut record);
        }
        wire
    }
}

/// A record with zeros after its content.
fn pad(forger: &mut Forger, typ: ContentType, content: &[u8], padding: usize) -> Vec<u8> {
    let inner = [content, &typ.to_array(), &vec![0; padding - 1]].concat();
    forger.seal(ContentType::Unknown(0), &inner)
}

/// The data of all whole records, whether they end the client's side, and what is left.
fn open_all(records: &mut Records, wire: &mut [u8]) -> Result<(Vec<u8>, bool, usize), Error> {
    let (mut data, mut at, mut has_ended) = (Vec::new(), 0, false);
    while let Some(Opened { length, content }) = records.open(&mut wire[at..])? {
        match content {
            Content::Data(place) => data.extend_from_slice(&wire[at..][place]),
            Content::Nothing => {}
            Content::End => has_ended = true,
        }
        at += length;
    }
    Ok((data, has_ended, wire.len() - at))
}

/// Bytes that reveal a lost, repeated or misplaced piece.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}

#[test]
fn records_of_every_length_are_those_of_rustls() {
    use ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm, Chacha20Poly1305};
    let content = content(CONTENT);
    for suite in SUITES {
        let Pair { client, records } = Pair::new(suite);
        let mut ours = records.sealer;
        let (key, iv) = match client.dangerous_extract_secrets().unwrap().rx.1 {
            Aes128Gcm { key, iv } | Aes256Gcm { key, iv } | Chacha20Poly1305 { key, iv } => (key, iv),
            _ => panic!("another cipher"),
        };
        let mut stock = suite.tls13().unwrap().aead_alg.encrypter(key, iv);
        let mut theirs = |typ, content, number| {
            let payload = OutboundChunks::Single(content);
            let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload };
            stock.encrypt(message, number).unwrap().encode()
        };
        // The first number that a key of rustls sees must be 0.
        theirs(HANDSHAKE, b"tickets", 0);
        for length in 0..=CONTENT {
            let content = &content[..length];
            let typ = [APPLICATION_DATA, HANDSHAKE, ALERT_TYPE][length % 3];
            let expected = theirs(typ, content, ours.next());
            let mut record = vec![7; length + OVERHEAD];
            match length % 5 {
                0 => ours.seal(typ, content, &mut record).unwrap(),
                1 | 2 => {
                    ours.seal_in_place(typ, &mut record, |place| place.copy_from_slice(content)).unwrap()
                }
                _ => {
                    let (first, after) = content.split_at(length - (length / 3).min(AFTER));
                    ours.seal_both(typ, first, after, &mut record).unwrap();
                }
            }
            assert!(record == expected, "{length} bytes of {suite:?}");
        }
    }
}

#[test]
fn every_suite_carries_data_of_every_size_both_ways_across_new_keys_to_a_clean_end() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        for length in [1, 2, 15, 16, 17, 1_000, CONTENT - 1, CONTENT, CONTENT + 1, 100_000] {
            let data = content(length);
            pair.client.refresh_traffic_keys().unwrap();
            pair.client.writer().write_all(&data).unwrap();
            assert!(pair.upload() == data, "{length} bytes to us");
            let wire = pair.seal(&data);
            let records = length.div_ceil(CONTENT);
            assert_eq!(wire.len(), length + records * OVERHEAD + 5 + OVERHEAD, "the answer to the new keys");
            assert!(pair.download(&wire) == data, "{length} bytes from us");
        }
        let mut record = [0; ALERT + OVERHEAD];
        pair.records.seal_alert(AlertDescription::CloseNotify, &mut record).unwrap();
        assert!(pair.download(&record).is_empty());
        assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0, "a clean end");
        pair.client.send_close_notify();
        let mut wire = Vec::new();
        pair.client.write_tls(&mut wire).unwrap();
        assert_eq!(open_all(&mut pair.records, &mut wire), Ok((Vec::new(), true, 0)));
    }
}

#[test]
fn a_connection_goes_on_after_each_rest() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        for data in [content(1), content(CONTENT), content(100)] {
            pair.client.writer().write_all(&data).unwrap();
            assert!(pair.upload() == data);
            let wire = pair.seal(&data);
            assert!(pair.download(&wire) == data);
            pair.records.rest();
            assert!(pair.records.sealer.rests() && pair.records.opener.rests());
        }
    }
}

#[test]
fn a_key_seals_no_more_records_than_its_cipher_allows() {
    let mut pair = Pair::new(SUITES[0]);
    assert_eq!(pair.records.limit, 1 << 24);
    // The tickets were sealed too.
    assert!((1..4).contains(&pair.records.sealer.next()));
    pair.records.limit = 5;
    let data = content(10 * CONTENT);
    let wire = pair.seal(&data);
    assert_eq!(wire.len(), 10 * (CONTENT + OVERHEAD) + 2 * (5 + OVERHEAD), "two key updates");
    assert!(pair.records.sealer.next() < pair.records.limit);
    assert!(pair.download(&wire) == data);
    // The client answers each request for new keys.
    pair.client.writer().write_all(b"after").unwrap();
    assert_eq!(pair.upload(), b"after");
}

#[test]
fn an_incomplete_record_changes_nothing() {
    let (mut records, mut forger) = Pair::forge(SUITES[0]);
    let mut record = forger.seal(APPLICATION_DATA, b"whole");
    for length in 0..record.len() {
        assert_eq!(records.open(&mut record[..length]), Ok(None));
    }
    let opened = records.open(&mut record).unwrap().unwrap();
    assert_eq!(opened, Opened { length: record.len(), content: Content::Data(5..10) });
    assert_eq!(&record[5..10], b"whole");
}

#[test]
fn padding_is_removed_up_to_the_longest_record() {
    let (mut records, mut forger) = Pair::forge(SUITES[0]);
    let data = content(CONTENT);
    for (length, padding) in [(0, 1), (5, 1), (5, 300), (5, CONTENT - 5), (CONTENT - 1, 1)] {
        let mut record = pad(&mut forger, APPLICATION_DATA, &data[..length], padding);
        assert_eq!(open_all(&mut records, &mut record), Ok((data[..length].to_vec(), false, 0)));
    }
    let mut longest = forger.seal(APPLICATION_DATA, &data);
    assert_eq!(open_all(&mut records, &mut longest).unwrap().0, data);
}

/// Has a new server open records. Returns its fault and the alert for it.
fn fault(forge: impl FnOnce(&mut Forger) -> Vec<u8>) -> (Error, Option<AlertDescription>) {
    let (mut records, mut forger) = Pair::forge(SUITES[0]);
    let fault = open_all(&mut records, &mut forge(&mut forger)).unwrap_err();
    let alert = alert(&fault);
    (fault, alert)
}

#[test]
fn a_forged_or_overlong_record_is_refused() {
    use AlertDescription::{BadRecordMac, RecordOverflow, UnexpectedMessage};
    let flip = |at: usize| {
        fault(|forger| {
            let mut record = forger.seal(APPLICATION_DATA, b"content");
            record[at] ^= 1;
            record
        })
    };
    for at in [1, 2, 5, 11, 12, 13, 28] {
        assert_eq!(flip(at), (Error::DecryptError, Some(BadRecordMac)), "byte {at}");
    }
    assert_eq!(flip(0).1, Some(UnexpectedMessage));
    for length in 0..17 {
        let short = [&[23, 3, 3, 0, length][..], &vec![7; usize::from(length)]].concat();
        assert_eq!(fault(|_| short), (Error::DecryptError, Some(BadRecordMac)), "{length} bytes");
    }
    let again = |forger: &mut Forger| {
        let record = forger.seal(APPLICATION_DATA, b"once");
        [record.clone(), record].concat()
    };
    assert_eq!(fault(again), (Error::DecryptError, Some(BadRecordMac)));
    let overflow = (Error::PeerSentOversizedRecord, Some(RecordOverflow));
    assert_eq!(fault(|_| vec![23, 3, 3, 0x41, 0x01]), overflow, "a header suffices");
    assert_eq!(fault(|forger| forger.seal(APPLICATION_DATA, &content(CONTENT + 1))), overflow);
    assert_eq!(fault(|forger| pad(forger, APPLICATION_DATA, b"short", CONTENT)), overflow);
    assert_eq!(fault(|_| [&[23, 3, 3, 0x41, 0x00][..], &[7; 0x4100]].concat()).1, Some(BadRecordMac));
}

#[test]
fn a_record_of_another_kind_is_unexpected() {
    for typ in [20, 21, 22, 24, 0, 255] {
        let alert = fault(|_| vec![typ, 3, 3, 0, 1, 1]).1;
        assert_eq!(alert, Some(AlertDescription::UnexpectedMessage), "type {typ} in clear");
    }
    for typ in [20, 24, 255] {
        let alert = fault(|forger| forger.seal(ContentType::from(typ), b"\x01")).1;
        assert_eq!(alert, Some(AlertDescription::UnexpectedMessage), "type {typ}");
    }
    for zeros in [0, 1, 300] {
        assert_eq!(
            fault(|forger| forger.seal(ContentType::Unknown(0), &vec![0; zeros])),
            (PeerMisbehaved::IllegalTlsInnerPlaintext.into(), Some(AlertDescription::UnexpectedMessage)),
        );
    }
    for typ in [HANDSHAKE, ALERT_TYPE] {
        assert_eq!(fault(|forger| forger.seal(typ, b"")).1, Some(AlertDescription::UnexpectedMessage));
    }
}

#[test]
fn an_alert_ends_the_connection_unless_it_means_nothing() {
    let fatal = AlertDescription::InternalError;
    for level in [WARNING, FATAL, 0, 77] {
        let received = fault(|forger| forger.seal(ALERT_TYPE, &[level, 80]));
        assert_eq!(received, (Error::AlertReceived(fatal), None));
        let (mut records, mut forger) = Pair::forge(SUITES[0]);
        let mut end = forger.seal(ALERT_TYPE, &[level, 0]);
        assert!(open_all(&mut records, &mut end).unwrap().1);
    }
    for content in [&[WARNING][..], &[WARNING, 90, 0]] {
        assert_eq!(fault(|forger| forger.seal(ALERT_TYPE, content)).1, Some(AlertDescription::DecodeError));
    }
    let canceled = AlertDescription::UserCanceled;
    let cancel = |forger: &mut Forger, times| {
        (0..times).flat_map(|_| forger.seal(ALERT_TYPE, &[WARNING, 90])).collect::<Vec<_>>()
    };
    assert_eq!(fault(|forger| forger.seal(ALERT_TYPE, &[FATAL, 90])).0, Error::AlertReceived(canceled));
    let (mut records, mut forger) = Pair::forge(SUITES[0]);
    assert_eq!(open_all(&mut records, &mut cancel(&mut forger, 4)), Ok((Vec::new(), false, 0)));
    assert!(open_all(&mut records, &mut cancel(&mut forger, 1)).is_err());
}

#[test]
fn a_key_update_may_come_in_pieces_with_nothing_between_them() {
    for cuts in [&[1][..], &[4], &[1, 2, 3, 4]] {
        let (mut records, mut forger) = Pair::forge(SUITES[0]);
        let mut start = 0;
        for &end in cuts {
            let mut record = forger.seal(HANDSHAKE, &ASKING[start..end]);
            assert_eq!(open_all(&mut records, &mut record), Ok((Vec::new(), false, 0)));
            assert_eq!(records.key_update(), Ok(None));
            start = end;
        }
        let last = open_all(&mut records, &mut forger.seal(HANDSHAKE, &ASKING[start..]));
        assert_eq!(last, Ok((Vec::new(), false, 0)));
        assert!(records.key_update().unwrap().is_some());
        assert_eq!(records.key_update(), Ok(None), "one answer");
        assert_eq!(records.open(&mut forger.seal(APPLICATION_DATA, b"old key")), Err(Error::DecryptError));
    }
    for typ in [APPLICATION_DATA, ALERT_TYPE] {
        let between =
            fault(|forger| [forger.seal(HANDSHAKE, &ASKING[..3]), forger.seal(typ, &[WARNING, 0])].concat());
        let expected = PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into();
        assert_eq!(between, (expected, Some(AlertDescription::UnexpectedMessage)));
    }
}

#[test]
fn a_handshake_message_is_a_key_update_alone_in_its_record() {
    use AlertDescription::{DecodeError, IllegalParameter, UnexpectedMessage};
    for (message, alert) in [
        (&[&SILENT[..], &SILENT].concat()[..], UnexpectedMessage),
        (&[&SILENT[..], &[KEY_UPDATE]].concat(), UnexpectedMessage),
        (&[KEY_UPDATE, 0, 0, 0], DecodeError),
        (&[KEY_UPDATE, 0, 0, 2, 0, 0], DecodeError),
        (&[KEY_UPDATE, 1, 0, 1, 0], DecodeError),
        (&[KEY_UPDATE, 0, 0, 1, 2], IllegalParameter),
        (&[1], UnexpectedMessage),
        (&[4, 0, 0, 0], UnexpectedMessage),
        (&[0], UnexpectedMessage),
    ] {
        assert_eq!(fault(|forger| forger.seal(HANDSHAKE, message)).1, Some(alert), "{message:?}");
    }
}

#[test]
fn without_data_between_them_a_client_gets_few_records_opened() {
    let mut pair = Pair::new(SUITES[0]);
    let update = |pair: &mut Pair| {
        pair.client.refresh_traffic_keys().unwrap();
        let mut wire = Vec::new();
        pair.client.write_tls(&mut wire).unwrap();
        open_all(&mut pair.records, &mut wire)
    };
    for _ in 0..2 {
        for _ in 0..KEY_UPDATES {
            assert!(update(&mut pair).is_ok());
        }
        pair.client.writer().write_all(b"data").unwrap();
        assert_eq!(pair.upload(), b"data");
    }
    for _ in 0..KEY_UPDATES {
        assert!(update(&mut pair).is_ok());
    }
    assert_eq!(update(&mut pair), Err(PeerMisbehaved::TooManyKeyUpdateRequests.into()));

    let (mut records, mut forger) = Pair::forge(SUITES[0]);
    for data in [&b"data"[..], b"more"] {
        for _ in 0..EMPTY_RECORDS {
            assert!(open_all(&mut records, &mut forger.seal(APPLICATION_DATA, b"")).is_ok());
        }
        assert_eq!(open_all(&mut records, &mut forger.seal(APPLICATION_DATA, data)).unwrap().0, data);
    }
    let mut empty = (0..=EMPTY_RECORDS).flat_map(|_| forger.seal(APPLICATION_DATA, b"")).collect::<Vec<_>>();
    let expected = PeerMisbehaved::TooManyEmptyFragments.into();
    assert_eq!(open_all(&mut records, &mut empty), Err(expected));
}
