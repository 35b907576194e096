//! TLS records from and to another implementation: OpenSSL, alone and inside curl.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConnection, Error};

use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{self, authorized};
use crate::harness::openssl::OpenSsl;
use crate::harness::recorder::{Recorder, State};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{DEADLINE, tools};

const AES_128: [&str; 3] = ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"];
const AES_256: [&str; 3] = ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"];
const CHACHA20: [&str; 3] = ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"];
const OLD_AES_128: [&str; 3] = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
const OLD_AES_256: [&str; 3] = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"];
const OLD_CHACHA20: [&str; 3] = ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"];

const LARGE: usize = 4 << 20;
/// The most that the recorder keeps of a body.
const PUSHED: usize = 1 << 20;
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";

/// A registry whose manifests have the length in their tag: `whole-5`, `chunked-5`. `halved-5` ends
/// halfway, and `paused-5` pauses there until the test continues.
fn registry() -> (Fake, Sender<()>) {
    let (resume, paused) = channel();
    let paused = Mutex::new(paused);
    let fake = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            let tag = head[0].split([' ', '/']).find(|part| part.contains('-')).unwrap();
            let (kind, length) = tag.split_once('-').unwrap();
            let content = content(length.parse().unwrap());
            if kind == "chunked" {
                answer_in_chunks(conversation, content);
                continue;
            }
            let (first, second) = content.split_at(content.len() / 2);
            conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            conversation.write(first);
            match kind {
                "halved" => return,
                "paused" => paused.lock().unwrap().recv().unwrap(),
                _ => {}
            }
            conversation.write(second);
        }
    });
    (fake, resume)
}

fn answer_in_chunks(conversation: &mut Conversation, content: &[u8]) {
    conversation.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in content.chunks(10_007) {
        conversation.write(format!("{:x}\r\n", chunk.len()).as_bytes());
        conversation.write(chunk);
        conversation.write(b"\r\n");
    }
    conversation.write(b"0\r\n\r\n");
}

/// Digits and line ends, so that no byte is a command for `s_client`, and a misplaced piece shows.
fn content(length: usize) -> &'static [u8] {
    static LONGEST: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0_u32..).flat_map(|at| format!("{at:07}\n").into_bytes()).take(LARGE).collect());
    &LONGEST[..length]
}

fn get(kind: &str, length: usize, field: &str) -> Vec<u8> {
    http1::head(&format!("GET /v2/a/manifests/{kind}-{length}"), &[&authorized(), field]).into_bytes()
}

fn setup() -> (Fake, Sender<()>, Tidegate) {
    let (fake, resume) = registry();
    let tidegate = Tidegate::start(Settings::for_upstream(&fake.url()));
    (fake, resume, tidegate)
}

#[test]
fn openssl_pulls_with_every_suite_and_sees_a_clean_end() {
    let (_fake, _resume, tidegate) = setup();
    for options in [AES_128, AES_256, CHACHA20, OLD_AES_128, OLD_AES_256, OLD_CHACHA20] {
        let mut client = OpenSsl::connect(&tidegate, &options);
        client.said.wait_for("the suite", |line| line.ends_with(options[2]));
        client.send(&get("whole", LARGE, "Connection: close"));
        assert_eq!(client.head(), (200, LARGE), "{options:?}");
        assert!(client.body(LARGE) == content(LARGE), "{options:?}");
        assert!(client.ends_cleanly(), "{options:?}");
    }
}

#[test]
fn keys_change_in_the_middle_of_a_pull() {
    let (_fake, resume, tidegate) = setup();
    for options in [AES_128, AES_256, CHACHA20] {
        let mut client = OpenSsl::connect(&tidegate, &options);
        for both in [true, false, true, true] {
            client.send(&get("paused", LARGE, "Accept: */*"));
            assert_eq!(client.head(), (200, LARGE));
            let mut body = client.body(LARGE / 2);
            client.update_keys(both);
            resume.send(()).unwrap();
            body.extend(client.body(LARGE / 2));
            assert!(body == content(LARGE), "{options:?}");
        }
    }
}

#[test]
fn keys_change_in_the_middle_of_a_push() {
    for options in [AES_128, AES_256, CHACHA20] {
        let recorder = Recorder::start();
        let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
        let mut client = OpenSsl::connect(&tidegate, &options);
        let content = content(PUSHED);
        let length = format!("Content-Length: {PUSHED}");
        client.send(http1::head(&format!("PATCH {UPLOAD}"), &[&authorized(), &length]).as_bytes());
        let mut sent = 0;
        for (piece, both) in content.chunks(PUSHED / 4).zip([true, false, true, true]) {
            recorder.wait_for("everything sent so far", |seen| seen.received == sent);
            client.update_keys(both);
            client.send(piece);
            sent += piece.len() as u64;
        }
        assert_eq!(client.head().0, 200);
        let seen = recorder.wait_for("the whole push", |seen| seen.state == State::Complete);
        assert!(seen.body == content, "{options:?}");
    }
}

#[test]
fn a_client_may_split_and_pad_its_records() {
    for suite in [AES_128, AES_256, OLD_AES_128] {
        for cut in [
            &["-max_send_frag", "512"][..],
            &["-max_send_frag", "4096", "-split_send_frag", "1024"],
            &["-maxfraglen", "512"],
            &["-record_padding", "16384"],
        ] {
            let recorder = Recorder::start();
            let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
            let mut client = OpenSsl::connect(&tidegate, &[&suite, cut].concat());
            let content = content(PUSHED);
            let length = format!("Content-Length: {PUSHED}");
            client.send(http1::head(&format!("PATCH {UPLOAD}"), &[&authorized(), &length]).as_bytes());
            client.send(content);
            assert_eq!(client.head().0, 200, "{suite:?} {cut:?}");
            let seen = recorder.wait_for("the push", |seen| seen.state == State::Complete);
            assert!(seen.body == content, "{suite:?} {cut:?}");
        }
    }
}

#[test]
fn curl_gets_answers_of_every_length_around_a_record() {
    let (_fake, _resume, tidegate) = setup();
    let ca = tidegate.settings.path().join("ca.crt");
    let record = 16_384;
    let around = |edge: usize| [edge - 2, edge - 1, edge, edge + 1, edge + 2];
    let mut lengths = vec![0, 1, 2, 15, 16, 17];
    for edge in [256, 4_096, record, 2 * record, 3 * record, 16 * record] {
        lengths.extend(around(edge));
    }
    lengths.push(LARGE);
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        for (kind, protocol) in [("whole", "--http1.1"), ("chunked", "--http1.1"), ("whole", "--http2")] {
            let mut arguments = vec![protocol.to_owned(), "--tls13-ciphers".to_owned(), suite.to_owned()];
            let got = |length| tidegate.settings.path().join(format!("got-{length}"));
            for length in &lengths {
                arguments.push("--output".to_owned());
                arguments.push(got(length).to_str().unwrap().to_owned());
                arguments.push(format!("https://{}/v2/a/manifests/{kind}-{length}", tidegate.host()));
            }
            tools::curl(&ca, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), None);
            for length in &lengths {
                // curl creates no file for an empty body.
                let body = fs::read(got(length)).unwrap_or_default();
                assert!(body == content(*length), "{suite} {kind} {protocol} {length}");
                let _ = fs::remove_file(got(length));
            }
        }
    }
}

#[test]
fn a_truncated_pull_is_not_a_clean_end_for_openssl_and_curl() {
    let (_fake, _resume, tidegate) = setup();
    for options in [AES_128, AES_256, OLD_AES_128] {
        let mut client = OpenSsl::connect(&tidegate, &options);
        client.send(&get("halved", LARGE, "Accept: */*"));
        assert_eq!(client.head(), (200, LARGE));
        assert!(content(LARGE).starts_with(&client.body(LARGE)), "{options:?}");
        assert!(!client.ends_cleanly(), "{options:?}");
    }
    let ca = tidegate.settings.path().join("ca.crt");
    let url = format!("https://{}/v2/a/manifests/halved-{LARGE}", tidegate.host());
    for protocol in ["--http1.1", "--http2"] {
        let user = ["--user", "testuser:testpass", "--cacert", ca.to_str().unwrap()];
        let rest = ["--silent", "--max-time", "60", "--output", "/dev/null", protocol, &url];
        assert!(!tools::run("curl", &[&user[..], &rest].concat()).success, "{protocol}");
    }
}

#[test]
fn a_forged_record_causes_an_alert_and_ends_the_connection() {
    let (_fake, _resume, tidegate) = setup();
    let mut socket = TcpStream::connect(tidegate.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).unwrap();
    }
    let mut forged = vec![23, 3, 3, 0, 64];
    forged.extend(content(64));
    socket.write_all(&forged).unwrap();
    let error = loop {
        match client.read_tls(&mut socket) {
            Ok(0) => panic!("the connection ends without an alert"),
            Ok(_) => {}
            Err(error) => panic!("no alert came: {error}"),
        }
        if let Err(error) = client.process_new_packets() {
            break error;
        }
    };
    assert_eq!(error, Error::AlertReceived(AlertDescription::BadRecordMac));
    let end = socket.read(&mut [0]);
    assert!(!matches!(end, Ok(1..)), "nothing follows the alert");
}

#[test]
fn a_client_that_refuses_the_certificate_leaves_with_an_alert_and_the_next_is_served() {
    let (_fake, _resume, tidegate) = setup();
    for suite in [AES_128, AES_256] {
        // The later option wins: a store without the test's authority.
        let mut stranger = OpenSsl::connect(&tidegate, &[&suite[..], &["-CAfile", "/dev/null"]].concat());
        assert!(!stranger.ends_cleanly());
        let mut client = OpenSsl::connect(&tidegate, &suite);
        client.send(&get("whole", 5, "Accept: */*"));
        assert_eq!(client.head(), (200, 5));
    }
}
