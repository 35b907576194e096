//! Directories that cannot be asked: nobody gets in, and nothing is counted.

use super::*;

/// The same twice, with limits of one wrong password.
async fn is_unavailable(settings: config::Ldap) {
    let ldap = ldap(&config::Ldap { failures: 1, ..settings }, &[]);
    let by_network = throttle(1);
    for _ in 0..2 {
        let judged = ldap.judge(attempt_from(1, &by_network, "ALICE", "alice-password")).await;
        assert_eq!(judged, Judgement::Unavailable);
    }
    assert_eq!(ldap.person(&User::parse("alice").unwrap()).await, Err(Unavailable));
}

#[tokio::test]
async fn starttls_stripped_is_unavailable() {
    let slapd = Slapd::start_with("no TLS", "");
    is_unavailable(slapd.settings(vec![slapd.start_tls()])).await;
    is_unavailable(slapd.settings(vec![slapd.tls()])).await;
    assert_eq!(slapd.log(&[" BIND "]), [""; 0], "no password in clear");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_unavailable() {
    let (slapd, other) = (Slapd::start(), Slapd::start());
    for server in [slapd.start_tls(), slapd.tls()] {
        let ca = Some(other.folder.path("ca.crt"));
        is_unavailable(config::Ldap { ca, ..slapd.settings(vec![server]) }).await;
    }
    assert_eq!(slapd.log(&[" BIND "]), [""; 0]);
}

#[tokio::test]
async fn what_stands_in_clear_behind_starttls_is_not_read() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let injected = [ended(0x77, 1, 0), ended(SEARCH, 2, 0), ended(BIND, 2, 0)].concat();
            _ = stream.read(&mut [0; 100]);
            _ = stream.write_all(&injected);
            _ = stream.read(&mut [0; 4096]);
        }
    });
    let slapd = Slapd::start();
    let server = LdapServer::StartTls { host: "127.0.0.1".to_owned(), port };
    is_unavailable(slapd.settings(vec![server])).await;
}

#[tokio::test]
async fn a_directory_that_is_gone_is_unavailable_until_it_is_back() {
    let mut slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.start_tls()]), &[]);
    assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()));
    slapd.stop();
    for password in ["alice-password", "wrong"] {
        assert_eq!(login(&ldap, "alice", password).await, Err(Judgement::Unavailable));
    }
    slapd.start_again();
    assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()));
}

#[tokio::test]
async fn a_directory_that_was_started_again_is_noticed_before_a_password_is_sent() {
    let mut slapd = Slapd::start();
    let ldap = ldap(&slapd.settings(vec![slapd.tls()]), &[]);
    for _ in 0..3 {
        assert_eq!(login(&ldap, "alice", "alice-password").await, Ok("alice".to_owned()));
        slapd.stop();
        slapd.start_again();
    }
}

#[tokio::test]
async fn silence_is_unavailable() {
    for silent in [SEARCH, BIND] {
        let (_folder, server) = server(move |tag, id| (tag != silent).then(|| ended(tag, id, 0)));
        let timeout = Duration::from_millis(200);
        let mut settings = config::Ldap { timeout, ..settings(vec![server]) };
        if silent == BIND {
            let slapd = Slapd::start();
            settings.bind_dn = Some("cn=door".to_owned());
            settings.bind_password = Some(slapd.folder.write("password", "x"));
            is_unavailable(settings).await;
        } else {
            is_unavailable(settings).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_ldap_and_what_is_too_long_are_unavailable() {
    let endless = [&b"\x30\x84\x7f\xff\xff\xff"[..], &[0; 3000]].concat();
    let notice = b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00".to_vec();
    for answer in
        [b"HTTP/1.1 400 Bad Request\r\n".to_vec(), endless, notice, ended(BIND, 1, 0), ended(SEARCH, 9, 0)]
    {
        let (_folder, server) = server(move |_, _| Some(answer.clone()));
        is_unavailable(settings(vec![server])).await;
    }
}

/// Samba sends all entries, whatever the size limit is.
#[tokio::test]
async fn a_server_that_knows_no_size_limit_is_read_no_further() {
    let (_folder, server) = server(|tag, id| {
        let entry = [0x30, 10, 2, 1, id, 0x64, 5, 4, 1, b'x', 0x30, 0];
        let entries = if tag == SEARCH { entry.repeat(3) } else { Vec::new() };
        Some([entries, ended(tag, id, if tag == SEARCH { 0 } else { 49 })].concat())
    });
    let people = ldap(&settings(vec![server]), &[]);
    for _ in 0..2 {
        assert_eq!(login(&people, "alice", "x").await, Err(Judgement::Wrong(TWO_ENTRIES)));
    }
}

#[tokio::test]
async fn fail_open_never_whatever_the_directory_answers() {
    for code in [1, 3, 11, 32, 50, 51, 52, 53, 80] {
        let (_folder, server) = server(move |tag, id| Some(ended(tag, id, code)));
        is_unavailable(settings(vec![server])).await;
    }
    for code in [51, 52, 80, 10] {
        let (_folder, server) =
            server(move |tag, id| Some(ended(tag, id, if tag == SEARCH { 0 } else { code })));
        let ldap = ldap(&settings(vec![server]), &[]);
        assert_eq!(login(&ldap, "nobody", "x").await, Err(Judgement::Unavailable), "{code}");
    }
}

#[tokio::test]
async fn the_search_account_is_not_locked_by_a_wrong_password_of_its_own() {
    let slapd = Slapd::start();
    let settings = slapd.settings(vec![slapd.socket()]);
    slapd.folder.write("door-password", "a-wrong-password\n");
    is_unavailable(settings).await;
    assert_eq!(slapd.binds("cn=door"), 1, "it is tried again later, and not at each login");
}

#[tokio::test]
async fn the_next_server_is_asked_only_if_one_cannot_be_reached() {
    let (first, second) = (Slapd::start(), Slapd::start());
    let nowhere = LdapServer::Unix(first.folder.path("nothing"));
    let people = ldap(&first.settings(vec![nowhere, first.socket(), second.socket()]), &[]);
    assert_eq!(login(&people, "alice", "alice-password").await, Ok("alice".to_owned()));
    assert_eq!(login(&people, "alice", "wrong").await, Err(WRONG));
    assert_eq!(second.log(&["ACCEPT"]), [""; 0]);
    drop(first);
    assert_eq!(login(&people, "alice", "alice-password").await, Ok("alice".to_owned()));
    assert_eq!(second.binds("uid=alice"), 1);
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_leaves_time_for_the_next() {
    let slapd = Slapd::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = LdapServer::Tls { host: "localhost".to_owned(), port };
    let people = ldap(&slapd.settings(vec![silent, slapd.tls()]), &[]);
    assert_eq!(login(&people, "alice", "alice-password").await, Ok("alice".to_owned()));
}

#[tokio::test]
async fn logins_beyond_the_queue_are_told_to_come_again() {
    let (_folder, server) = server(|_, _| None);
    let settings =
        config::Ldap { connections: 1, timeout: Duration::from_millis(300), ..settings(vec![server]) };
    let ldap = build(&settings, 1, Duration::ZERO, &BTreeSet::new(), None).unwrap();
    let enter = || {
        let ldap = ldap.clone();
        tokio::spawn(async move { ldap.judge(attempt("alice", "x")).await })
    };
    let (first, second, third) = (enter(), enter(), enter());
    assert_eq!(third.await.unwrap(), Judgement::Busy);
    let waited = second.await.unwrap();
    assert!(
        matches!(waited, Judgement::Busy | Judgement::Unavailable),
        "its time is over in the queue: {waited:?}"
    );
    assert_eq!(first.await.unwrap(), Judgement::Unavailable);
}
