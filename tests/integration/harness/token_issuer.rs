//! An issuer of ID tokens, such as a CI system, with its discovery and its keys behind TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::DEADLINE;
use super::authority::Authority;
use super::signer::Signer;

pub const AUDIENCE: &str = "registry.test";

pub struct TokenIssuer {
    address: SocketAddr,
    authority: Authority,
    shared: Arc<(Mutex<State>, Condvar)>,
    signer: Mutex<(Signer, String)>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Honest,
    /// It takes requests and says nothing.
    Silent,
    /// It closes connections at once.
    Gone,
    Failing,
    /// The metadata is that of another issuer.
    Lying,
    /// The metadata is at the end of a redirect.
    Elsewhere,
    /// The keys are at the end of a redirect.
    KeysElsewhere,
    /// The keys are behind an address without TLS.
    KeysInClear,
    /// The keys have a body of a gigabyte.
    Endless,
    /// The keys are an HTML page.
    Garbled,
    /// The keys are symmetric.
    Symmetric,
}

struct State {
    mood: Mood,
    keys: Vec<Value>,
    counts: Counts,
}

/// Requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub discovery: usize,
    pub keys: usize,
    /// Bytes of a body without end that were sent.
    pub bytes: usize,
}

impl TokenIssuer {
    pub fn start() -> TokenIssuer {
        let authority = Authority::new();
        let server = authority.issue("issuer").server();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { mood: Mood::Honest, keys: Vec::new(), counts: Counts::default() };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let office = Arc::new(Office { address, shared: Arc::clone(&shared) });
        std::thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let (server, office) = (server.clone(), office.clone());
                std::thread::spawn(move || office.receive(visitor, server));
            }
        });
        let issuer = TokenIssuer { address, authority, shared, signer: Mutex::new(fresh("first")) };
        issuer.publish();
        issuer
    }

    /// `iss`
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The PEM of its root certificate.
    pub fn ca(&self) -> &str {
        self.authority.pem()
    }

    pub fn be(&self, mood: Mood) {
        self.shared.0.lock().unwrap().mood = mood;
        self.shared.1.notify_all();
    }

    pub fn counts(&self) -> Counts {
        self.shared.0.lock().unwrap().counts
    }

    /// Waits until a request has come.
    pub fn wait_for_discovery(&self, count: usize) {
        let state = self.shared.0.lock().unwrap();
        let few = |state: &mut State| state.counts.discovery < count;
        let (state, waited) = self.shared.1.wait_timeout_while(state, DEADLINE, few).unwrap();
        assert!(!waited.timed_out(), "{:?}", state.counts);
    }

    /// Signs with a new key from now on, and publishes it alone.
    pub fn rotate(&self, id: &str) {
        *self.signer.lock().unwrap() = fresh(id);
        self.publish();
    }

    /// The claims of a token of the project `team/app` that is accepted.
    pub fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.url(), "aud": AUDIENCE, "sub": "project_path:team/app:ref:main",
            "exp": now + 300, "nbf": now - 5, "iat": now - 5,
            "project_path": "team/app", "ref_protected": "true",
        })
    }

    /// The claims with some of them replaced, or removed by null.
    pub fn claims_but(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        let all = claims.as_object_mut().unwrap();
        for (claim, value) in changes.as_object().unwrap() {
            if value.is_null() {
                all.remove(claim)
            } else {
                all.insert(claim.clone(), value.clone())
            };
        }
        claims
    }

    pub fn sign(&self, claims: &Value) -> String {
        let (signer, id) = &*self.signer.lock().unwrap();
        signer.sign(&json!({ "alg": "ES256", "kid": id, "typ": "JWT" }), claims)
    }

    /// A token that is accepted.
    pub fn token(&self) -> String {
        self.sign(&self.claims())
    }

    fn publish(&self) {
        let (signer, id) = &*self.signer.lock().unwrap();
        let mut key = signer.jwk();
        key["kid"] = json!(id);
        self.shared.0.lock().unwrap().keys = vec![key];
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn fresh(id: &str) -> (Signer, String) {
    (Signer::stranger(), id.to_owned())
}

struct Office {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Office {
    /// Answers the one request of a connection.
    fn receive(&self, visitor: TcpStream, server: Arc<ServerConfig>) {
        if self.shared.0.lock().unwrap().mood == Mood::Gone {
            return;
        }
        visitor.set_read_timeout(Some(DEADLINE)).unwrap();
        visitor.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(server).unwrap(), visitor));
        // A client that does not trust this server sends nothing.
        let mut lines = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let Some(request) = lines.next() else { return };
        lines.for_each(drop);
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let stream = stream.get_mut();
        if let Some(answer) = self.answer(&path) {
            _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                self.endless(stream);
            }
        } else {
            // Until the client leaves.
            _ = stream.read(&mut [0]);
        }
        stream.conn.send_close_notify();
        _ = stream.flush();
    }

    /// The answer; none for silence, and an empty one for a body without end.
    fn answer(&self, path: &str) -> Option<String> {
        let (mut state, changed) = (self.shared.0.lock().unwrap(), &self.shared.1);
        let (is_discovery, here) = (path == "/.well-known/openid-configuration", self.address);
        let count = if is_discovery { &mut state.counts.discovery } else { &mut state.counts.keys };
        *count += 1;
        changed.notify_all();
        let redirect =
            || format!("HTTP/1.1 302 x\r\nLocation: https://{here}/moved{path}\r\nContent-Length: 0\r\n\r\n");
        Some(match (state.mood, is_discovery) {
            (Mood::Silent, _) => return None,
            (Mood::Failing, _) => "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            (Mood::Elsewhere, true) | (Mood::KeysElsewhere, false) => redirect(),
            (Mood::Endless, false) => String::new(),
            (Mood::Garbled, false) => ok("<html></html>"),
            (Mood::Symmetric, false) => {
                ok(&json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0", "kid": "first" }] }).to_string())
            }
            (mood, true) => {
                let issuer = if mood == Mood::Lying {
                    "https://other.test".to_owned()
                } else {
                    format!("https://{here}")
                };
                let scheme = if mood == Mood::KeysInClear { "http" } else { "https" };
                ok(&json!({ "issuer": issuer, "jwks_uri": format!("{scheme}://{here}/keys") }).to_string())
            }
            (_, false) => ok(&json!({ "keys": state.keys }).to_string()),
        })
    }

    fn endless(&self, stream: &mut impl Write) {
        const SIZE: usize = 1 << 30;
        let head = format!("HTTP/1.1 200 x\r\nContent-Length: {SIZE}\r\n\r\n{{\"keys\":[");
        let mut sent = 0;
        let mut next = head.into_bytes();
        while sent < SIZE && stream.write_all(&next).and_then(|()| stream.flush()).is_ok() {
            sent += next.len();
            next = vec![b' '; 64 << 10];
        }
        self.shared.0.lock().unwrap().counts.bytes += sent;
        self.shared.1.notify_all();
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
