use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, TlsRecordOpeningKey};
use proptest::prelude::*;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::crypto::fixtures::shake_hands;
use crate::crypto::provider;

/// The maximum content of a record (RFC 8446, section 5.1).
const LONGEST: usize = 16_384;

const SUITES: [(SupportedCipherSuite, &Algorithm); 2] =
    [(suite::TLS13_AES_128_GCM_SHA256, &AES_128_GCM), (suite::TLS13_AES_256_GCM_SHA384, &AES_256_GCM)];

const TYPES: [ContentType; 3] = [ContentType::ApplicationData, ContentType::Handshake, ContentType::Alert];

/// Our encrypter and that of rustls with the same key, and the key to open their records.
struct Twins {
    ours: Box<dyn MessageEncrypter>,
    stock: Box<dyn MessageEncrypter>,
    opener: TlsRecordOpeningKey,
    iv: Iv,
    sequence: u64,
}

impl Twins {
    /// Takes the key from a handshake, one copy from each side. rustls has no other way to a
    /// 16-byte key.
    fn new((suite, algorithm): (SupportedCipherSuite, &'static Algorithm)) -> Self {
        let (client, server) = connect(suite);
        let (key, iv) = parts(server.dangerous_extract_secrets().unwrap().tx.1);
        let (same, same_iv) = parts(client.dangerous_extract_secrets().unwrap().rx.1);
        assert_eq!(key.as_ref(), same.as_ref());
        let opener = TlsRecordOpeningKey::new(algorithm, TlsProtocolId::TLS13, key.as_ref()).unwrap();
        Self {
            iv: Iv::copy(iv.as_ref()),
            ours: aead(out_of_place(suite, algorithm)).encrypter(key, iv),
            stock: aead(suite).encrypter(same, same_iv),
            opener,
            sequence: 0,
        }
    }

    /// Twins that have sealed one record already: the key expects zero as the first sequence number
    /// it sees.
    fn begun(suite: (SupportedCipherSuite, &'static Algorithm)) -> Self {
        let mut twins = Self::new(suite);
        twins.seal(ContentType::Handshake, OutboundChunks::new_empty());
        twins
    }

    /// Seals `content` with both. Returns the record if they agree.
    fn seal(&mut self, typ: ContentType, content: OutboundChunks<'_>) -> Vec<u8> {
        let message =
            || OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload: content.clone() };
        assert_eq!(
            self.ours.encrypted_payload_len(content.len()),
            self.stock.encrypted_payload_len(content.len())
        );
        let ours = self.ours.encrypt(message(), self.sequence).unwrap().encode();
        let stock = self.stock.encrypt(message(), self.sequence).unwrap().encode();
        assert!(ours == stock, "{typ:?} of {} bytes at {}", content.len(), self.sequence);
        self.sequence += 1;
        ours
    }
}

fn aead(suite: SupportedCipherSuite) -> &'static dyn Tls13AeadAlgorithm {
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg,
        SupportedCipherSuite::Tls12(_) => panic!("a suite of TLS 1.2"),
    }
}

fn parts(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } | ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            (key, iv)
        }
        _ => panic!("no key of AES-GCM"),
    }
}

/// Our server after a handshake with a stock rustls client that offers only `suite`.
fn connect(suite: SupportedCipherSuite) -> (ClientConnection, ServerConnection) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let stock = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
    let mut client = ClientConfig::builder_with_provider(Arc::new(stock))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server.enable_secret_extraction = true;
    shake_hands(&Arc::new(client), &Arc::new(server), "a.test").unwrap()
}

/// Bytes that reveal a lost, repeated or misplaced piece.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).take(length).collect()
}

#[test]
fn records_of_every_length_are_those_of_rustls() {
    let content = content(LONGEST);
    for suite in SUITES {
        let mut twins = Twins::new(suite);
        for length in 0..=LONGEST {
            twins.seal(ContentType::ApplicationData, OutboundChunks::Single(&content[..length]));
        }
    }
}

#[test]
fn a_record_opens_to_its_content_and_type() {
    let content = content(LONGEST);
    for suite in SUITES {
        let mut twins = Twins::new(suite);
        for length in [0, 1, 15, 16, 17, 4_096, LONGEST - 1, LONGEST] {
            for typ in TYPES {
                let nonce = Nonce::assume_unique_for_key(RecordNonce::new(&twins.iv, twins.sequence).0);
                let mut record = twins.seal(typ, OutboundChunks::Single(&content[..length]));
                let (header, sealed) = record.split_at_mut(5);
                let opened = twins.opener.open_in_place(nonce, Aad::from(&*header), sealed).unwrap();
                let (&last, inner) = opened.split_last().unwrap();
                assert_eq!((inner, ContentType::from(last)), (&content[..length], typ));
            }
        }
    }
}

#[test]
fn a_sequence_number_serves_once() {
    for suite in SUITES {
        let mut twins = Twins::new(suite);
        let mut encrypt = |sequence| {
            let payload = OutboundChunks::Single(b"twice");
            let typ = ContentType::ApplicationData;
            twins
                .ours
                .encrypt(OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload }, sequence)
        };
        assert!(encrypt(0).is_ok());
        assert!(encrypt(7).is_ok());
        assert_eq!(encrypt(7).unwrap_err(), Error::EncryptError);
        assert_eq!(encrypt(6).unwrap_err(), Error::EncryptError);
        assert!(encrypt(8).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// hyper passes heads, chunk sizes and body pieces as separate slices, and rustls cuts records
    /// out of them.
    #[test]
    fn records_cut_out_of_many_chunks_are_those_of_rustls(
        which in 0..SUITES.len(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0..1_u64 << 32, lengths(), window()), 1..8),
    ) {
        thread_local! {
            static TWINS: [RefCell<Twins>; 2] = SUITES.map(|suite| RefCell::new(Twins::begun(suite)));
        }
        TWINS.with(|twins| {
            let mut twins = twins[which].borrow_mut();
            for (typ, skipped, lengths, (start, length)) in steps {
                let whole = content(lengths.iter().sum());
                let mut rest = whole.as_slice();
                let chunks: Vec<&[u8]> = lengths
                    .iter()
                    .map(|&length| {
                        let (chunk, after) = rest.split_at(length);
                        rest = after;
                        chunk
                    })
                    .collect();
                let start = start.index(whole.len() + 1);
                let end = whole.len().min(start + length);
                let cut = OutboundChunks::Multiple { chunks: &chunks, start, end };
                // Far beyond the 2^24 records after which rustls changes keys.
                twins.sequence += skipped;
                let many = twins.seal(*typ.get(&TYPES), cut);
                prop_assert_eq!(many.len(), 5 + (end - start) + 17);
            }
            Ok(())
        })?;
    }
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0..8_usize, 0..2_500_usize, 0..20_000_usize], 0..12)
}

fn window() -> impl Strategy<Value = (prop::sample::Index, usize)> {
    (any::<prop::sample::Index>(), prop_oneof![0..64_usize, 0..=LONGEST, Just(LONGEST)])
}

/// Includes the ciphers that we do not replace: TLS 1.2 and ChaCha20.
#[test]
fn every_suite_carries_data_both_ways_across_new_keys_to_a_clean_end() {
    let data = content(100_000);
    let provider = provider();
    let for_our_key = |suite: &SupportedCipherSuite| !format!("{:?}", suite.suite()).contains("_RSA_");
    let suites: Vec<_> = provider.cipher_suites.iter().copied().filter(for_our_key).collect();
    assert_eq!(suites.len(), 6);
    for suite in suites {
        let (client, server) = connect(suite);
        assert_eq!(server.negotiated_cipher_suite().unwrap().suite(), suite.suite());
        let (mut client, mut server) = (Connection::from(client), Connection::from(server));
        for _ in 0..3 {
            for one in [&mut client, &mut server] {
                one.set_buffer_limit(None);
                one.writer().write_all(&data).unwrap();
                if suite.version() == &rustls::version::TLS13 {
                    one.refresh_traffic_keys().unwrap();
                }
            }
            assert!(carry(&mut client, &mut server) == data, "{suite:?}");
            assert!(carry(&mut server, &mut client) == data, "{suite:?}");
        }
        server.send_close_notify();
        assert!(carry(&mut server, &mut client).is_empty());
        assert_eq!(client.reader().read(&mut [0]).unwrap(), 0, "{suite:?} ends cleanly");
    }
}

/// Transfers everything that `from` has to send to `to`. Returns the data in it.
fn carry(from: &mut Connection, to: &mut Connection) -> Vec<u8> {
    let mut data = Vec::new();
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets().unwrap();
        if let Err(error) = to.reader().read_to_end(&mut data) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }
    data
}
