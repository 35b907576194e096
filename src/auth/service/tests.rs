use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::throttle::Throttle;
use crate::network::Network;
use crate::pki::fixtures::{Folder, set_mode};

/// A service that answers every request with the same bytes, or never if there are none.
struct Fake {
    address: SocketAddr,
    /// The heads of the requests, in lower case.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let heads = fake.heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer, heads.clone()));
            }
        });
        fake
    }

    fn settings(&self) -> config::Service {
        config::Service {
            address: ServiceAddress::Url(format!("http://{}/check?x=1", self.address).parse().unwrap()),
            ca: None,
            secret: None,
            user_header: "Remote-User".to_owned(),
            group_header: Some("Remote-Groups".to_owned()),
            timeout: Duration::from_secs(30),
            connections: 8,
        }
    }

    fn service(&self) -> Arc<Service> {
        build(&self.settings())
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: &'static [u8], heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
    if answer.is_empty() {
        // Until the client leaves.
        _ = stream.read_u8().await;
    }
    _ = stream.write_all(answer).await;
}

fn wanted() -> BTreeSet<String> {
    ["http:dev", "http:ops", "ldap:dev"].map(str::to_owned).into()
}

fn build(settings: &config::Service) -> Arc<Service> {
    Service::build(settings, 1, &wanted(), &SystemRoots::default(), None).unwrap()
}

fn attempt(name: &[u8], password: &[u8]) -> Attempt {
    let window = Duration::from_secs(60);
    Attempt {
        network: Network::of([192, 0, 2, 1].into()),
        name: name.to_owned(),
        password: Secret::new(password),
        throttle: Throttle::new(config::Throttle { failures: 10, window, delay: window }),
    }
}

async fn judge(service: &Service, name: &str) -> Judgement {
    service.judge(attempt(name.as_bytes(), b"hunter2")).await
}

const RIGHT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const NAMED: &[u8] = b"HTTP/1.1 204 No Content\r\nremote-user: alice\r\nREMOTE-GROUPS: dev, x\r\n\r\n";

#[tokio::test]
async fn the_service_gets_user_and_password_and_nothing_else() {
    let (fake, folder) = (Fake::start(RIGHT).await, Folder::new());
    let file = folder.write("secret", "between us\n");
    set_mode(&file, 0o600);
    let service = build(&config::Service { secret: Some(file), ..fake.settings() });
    let judged = service.judge(attempt("Jörg".as_bytes(), b"a:b c")).await;
    let Judgement::Right(person) = judged else { panic!("{judged:?}") };
    assert_eq!((person.user.as_str(), person.source), (Some("Jörg"), Source::Http));
    assert_eq!((&person.binding, person.groups), (service.digest(), Groups::default()));
    let heads = fake.heads();
    let mut lines: Vec<&str> = heads[0].split_terminator("\r\n").filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.remove(0), "get /check?x=1 http/1.1");
    lines.sort_unstable();
    let authorization = format!("authorization: Basic {}", STANDARD.encode("Jörg:a:b c")).to_lowercase();
    let host = format!("host: {}", fake.address);
    let agent = concat!("user-agent: tidegate/", env!("CARGO_PKG_VERSION"));
    let expected = [&authorization, "connection: close", &host, agent, "x-tidegate-secret: between us"];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_user_is_who_the_service_says() {
    let fake = Fake::start(NAMED).await;
    let service = fake.service();
    for typed in ["ALICE", " alice "] {
        let judged = judge(&service, typed).await;
        let Judgement::Right(person) = judged else { panic!("{judged:?}") };
        assert_eq!(person.user.as_str(), Some("alice"));
        assert_eq!(person.groups.iter().collect::<Vec<_>>(), ["http:dev"]);
    }
    let fake = Fake::start(RIGHT).await;
    assert!(matches!(judge(&fake.service(), " alice ").await, Judgement::Wrong(_)));
}

#[tokio::test]
async fn what_is_no_answer_is_no_judgement() {
    for (answer, case) in [
        (&b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"[..], "an error"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "cut short"),
        (b"HTTP/1.1 200 OK\r\nremote-user: a\r\nremote-user: b\r\ncontent-length: 0\r\n\r\n", "two users"),
        (b"HTTP/1.1 200 OK\r\nremote-user: a:b\r\ncontent-length: 0\r\n\r\n", "another source's user"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "another protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "an upgrade"),
    ] {
        let fake = Fake::start(answer).await;
        assert_eq!(judge(&fake.service(), "alice").await, Judgement::Unavailable, "{case}");
    }
    let fake = Fake::start(RIGHT).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = Fake { address: closed, ..fake };
    assert_eq!(judge(&nobody.service(), "alice").await, Judgement::Unavailable);
}

#[tokio::test]
async fn a_long_answer_is_read_to_its_limit() {
    let answer = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; LONGEST_BODY]].concat();
    let fake = Fake::start(answer.leak()).await;
    assert!(matches!(judge(&fake.service(), "alice").await, Judgement::Right(_)));
    let answer = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; LONGEST_BODY + 1]].concat();
    let fake = Fake::start(answer.leak()).await;
    assert_eq!(judge(&fake.service(), "alice").await, Judgement::Unavailable);
}

#[tokio::test]
async fn a_silent_service_is_waited_for_within_the_timeout_by_few() {
    let fake = Fake::start(b"").await;
    let timeout = Duration::from_millis(300);
    let service = build(&config::Service { timeout, connections: 1, ..fake.settings() });
    let begun = Instant::now();
    let (first, second, third) =
        tokio::join!(judge(&service, "a"), judge(&service, "b"), judge(&service, "c"));
    assert_eq!((first, second, third), (Judgement::Unavailable, Judgement::Unavailable, Judgement::Busy));
    assert!(begun.elapsed() < Duration::from_secs(10), "they waited together");
    assert_eq!(fake.heads().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_that_would_be_another_user_or_no_password() {
    let fake = Fake::start(RIGHT).await;
    let service = fake.service();
    for (name, password) in [(&b"a:b"[..], &b"x"[..]), (b"", b"x"), (b"alice", b"")] {
        assert!(matches!(service.judge(attempt(name, password)).await, Judgement::Wrong(_)));
    }
    assert_eq!(fake.heads(), [""; 0]);
}

#[tokio::test]
async fn a_probe_tells_how_strangers_are_answered() {
    let fake = Fake::start(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let told = fake.service().probe().await;
    assert_eq!(told.unwrap(), "it answers 401 Unauthorized to a request without a password");
    assert!(!fake.heads()[0].contains("authorization:"));
    let told = Fake::start(RIGHT).await.service().probe().await;
    assert_eq!(
        told.unwrap_err(),
        "it answers 200 OK to a request without a password, so it lets in everybody"
    );
    let told =
        Fake::start(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.service().probe().await;
    assert_eq!(told.unwrap_err(), "it answered 404 Not Found");
    let settings = config::Service {
        address: ServiceAddress::Unix(PathBuf::from("/nonexistent/auth.sock")),
        ..fake.settings()
    };
    let told = build(&settings).probe().await.unwrap_err();
    assert!(told.starts_with("/nonexistent/auth.sock cannot be reached: No such file"), "{told}");
}

#[tokio::test]
async fn a_reload_keeps_who_waits_and_sees_what_has_changed() {
    let (fake, folder) = (Fake::start(RIGHT).await, Folder::new());
    let settings = fake.settings();
    let service = build(&settings);
    let build = |settings: &config::Service, wanted: &[&str]| {
        let wanted = wanted.iter().map(ToString::to_string).collect();
        Service::build(settings, 1, &wanted, &SystemRoots::default(), Some(&service)).unwrap()
    };
    let same = build(&settings, &["http:dev", "http:ops", "issuer:dev"]);
    assert_eq!(same.digest(), service.digest());
    assert!(Arc::ptr_eq(&same.admission, &service.admission));
    assert_ne!(build(&settings, &["http:dev"]).digest(), service.digest());
    let secret = |text: &str| {
        let secret = folder.write("secret", text);
        set_mode(&secret, 0o600);
        let settings = config::Service { secret: Some(secret), ..settings.clone() };
        *build(&settings, &["http:dev", "http:ops"]).digest()
    };
    assert_ne!(secret("one"), secret("two"));
    let more = build(&config::Service { connections: 9, ..settings.clone() }, &[]);
    assert!(!Arc::ptr_eq(&more.admission, &service.admission));
}

#[test]
fn every_file_that_cannot_be_used_is_reported() {
    let folder = Folder::new();
    let secret = folder.write("secret", "hunter2");
    set_mode(&secret, 0o644);
    let settings = config::Service {
        address: ServiceAddress::Url(Uri::from_static("https://auth.internal/")),
        ca: Some(folder.write("ca.crt", "no certificate")),
        secret: Some(secret),
        user_header: "Remote-User".to_owned(),
        group_header: None,
        timeout: Duration::from_secs(3),
        connections: 1,
    };
    let built = Service::build(&settings, 1, &wanted(), &SystemRoots::default(), None);
    let problems = built.err().unwrap().to_string();
    assert!(problems.contains("ca.crt: ") && problems.contains("secret: is a password that"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}
