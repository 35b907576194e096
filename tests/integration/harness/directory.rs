//! An ACME directory of today: Pebble, and in front of it what the packaged Pebble does not have,
//! profiles and renewal information (RFC 9773).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::DEADLINE;
use super::authority::Authority;
use super::http1::{Client, Response};
use super::pebble::Pebble;
use super::tls::Tls;

pub struct Directory {
    pub pebble: Pebble,
    pub shared: Arc<Mutex<Behaviour>>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// What it does, and what it was asked.
pub struct Behaviour {
    pub has_profiles: bool,
    /// The window in which it wants certificates to be renewed.
    pub window: Option<(OffsetDateTime, OffsetDateTime)>,
    pub replaces: Replaces,
    /// The new orders that it took.
    pub orders: Vec<Value>,
    /// The identifiers of the certificates that it was asked about.
    pub questions: Vec<String>,
}

/// What it makes of the field `replaces` of a new order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    Taken,
    Refused,
    /// As by a directory that knows the extension, but not the field.
    Ignored,
}

impl Directory {
    pub fn start() -> Directory {
        let (pebble, folder, authority) =
            (Pebble::start(), tempfile::TempDir::new().unwrap(), Authority::new());
        let server = authority.issue("directory").server();
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Behaviour {
            has_profiles: true,
            window: None,
            replaces: Replaces::Taken,
            orders: Vec::new(),
            questions: Vec::new(),
        }));
        let office = Arc::new(Office { to_pebble: pebble.https(), shared: Arc::clone(&shared) });
        std::thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let (server, office) = (server.clone(), office.clone());
                std::thread::spawn(move || office.receive(visitor, server));
            }
        });
        Directory { pebble, shared, address, folder }
    }

    pub fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().unwrap());
    }

    pub fn orders(&self) -> Vec<Value> {
        self.shared.lock().unwrap().orders.clone()
    }
}

struct Office {
    to_pebble: (SocketAddr, Arc<ClientConfig>),
    shared: Arc<Mutex<Behaviour>>,
}

impl Office {
    /// Answers the one request of a connection.
    fn receive(&self, visitor: TcpStream, server: Arc<ServerConfig>) {
        let connection = ServerConnection::new(server).unwrap();
        visitor.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(connection, visitor));
        let mut head = Vec::new();
        while let Some(Ok(line)) =
            stream.by_ref().lines().next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        {
            head.push(line);
        }
        // A client that does not trust this server sends nothing.
        if head.is_empty() {
            return;
        }
        let length = head
            .iter()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        let Response { status, headers, body, .. } = self.answer(&head, &body);
        // The body has another length now.
        let framing = ["content-length", "transfer-encoding"];
        let kept = headers.iter().filter(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
        let kept: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} x\r\n{kept}Content-Length: {}\r\n\r\n", body.len());
        let stream = stream.get_mut();
        // The client may have been killed.
        _ = stream.write_all(&[head.as_bytes(), &body].concat());
        stream.conn.send_close_notify();
        _ = stream.flush();
    }

    fn answer(&self, head: &[String], body: &[u8]) -> Response {
        let path = head[0].split(' ').nth(1).unwrap();
        if let Some(certificate) = path.strip_prefix("/renewal/") {
            return self.suggest(certificate);
        }
        let order = (path == "/order-plz").then(|| payload(body));
        let replaces = self.shared.lock().unwrap().replaces;
        if let Some(order) = &order {
            if order["replaces"].is_string() && replaces == Replaces::Refused {
                return problem("alreadyReplaced", "it has a successor");
            }
            if order["profile"].is_string() && order["profile"] != "shortlived" {
                return problem("invalidProfile", "nobody here makes such certificates");
            }
        }
        let mut answer = self.ask_pebble(head, body);
        if path == "/dir" {
            edit(&mut answer, |directory| {
                let own = directory["newOrder"].as_str().unwrap().replace("/order-plz", "/renewal");
                directory["renewalInfo"] = json!(own);
                let meta = directory["meta"].as_object_mut().unwrap();
                meta.remove("profiles");
                if self.shared.lock().unwrap().has_profiles {
                    let profiles = json!({ "shortlived": "six days", "classic": "ninety" });
                    meta.insert("profiles".to_owned(), profiles);
                }
            });
        }
        if let Some(order) = order.filter(|_| answer.status == 201) {
            edit(&mut answer, |answer| match replaces {
                Replaces::Taken if order["replaces"].is_string() => {
                    answer["replaces"] = order["replaces"].clone();
                }
                _ => _ = answer.as_object_mut().unwrap().remove("replaces"),
            });
            self.shared.lock().unwrap().orders.push(order);
        }
        answer
    }

    fn ask_pebble(&self, head: &[String], body: &[u8]) -> Response {
        let (address, config) = &self.to_pebble;
        let mut client = Client::over(Tls::connect_with(*address, config.clone()).unwrap());
        client.send([(head.join("\r\n") + "\r\n\r\n").as_bytes(), body].concat());
        client.response(head[0].starts_with("HEAD")).unwrap()
    }

    fn suggest(&self, certificate: &str) -> Response {
        let mut behaviour = self.shared.lock().unwrap();
        behaviour.questions.push(certificate.to_owned());
        let Some((start, end)) = behaviour.window else { return problem("serverInternal", "ask later") };
        let [start, end] = [start, end].map(|time| time.format(&Rfc3339).unwrap());
        let body = json!({
            "suggestedWindow": { "start": start, "end": end },
            "explanationURL": "https://ca.test/why",
        });
        let headers = vec![("Retry-After".to_owned(), "21600".to_owned())];
        Response { status: 200, headers, body: body.to_string().into_bytes(), ..Response::default() }
    }
}

/// What a signed request says.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn problem(kind: &str, detail: &str) -> Response {
    let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    Response { status: 400, body: body.to_string().into_bytes(), ..Response::default() }
}

fn edit(answer: &mut Response, change: impl FnOnce(&mut Value)) {
    let mut body = serde_json::from_slice(&answer.body).unwrap();
    change(&mut body);
    answer.body = body.to_string().into_bytes();
}
