//! Several registries behind one door. Clients see only the outer names of repositories, and a
//! registry with other names sees only its own.

mod catalogs;
mod names;
mod registries;
mod reload;

use std::sync::{Arc, Mutex};

use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{Client, Response};
use crate::harness::tidegate::Tidegate;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const BLOB: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A registry that answers by what it is asked, and keeps the heads of all requests.
struct Scripted {
    fake: Fake,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Scripted {
    /// `answer` gets method and target, and returns status, fields and body. `OWN` in a field
    /// stands for the registry's URL.
    fn start(
        answer: impl Fn(&str, &str) -> (&'static str, Vec<String>, String) + Send + Sync + 'static,
    ) -> Scripted {
        let heads = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let kept = heads.clone();
        let fake = Fake::start(move |conversation| {
            while let Some(head) = conversation.read_head() {
                read_body(conversation, &head);
                let mut words = head[0].split(' ').map(str::to_owned);
                let (method, target) = (words.next().unwrap(), words.next().unwrap());
                kept.lock().unwrap().push(head);
                let (status, fields, body) = answer(&method, &target);
                let own = format!("http://{}", conversation.address());
                let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
                let length = format!("Content-Length: {}\r\n", body.len());
                let body = if method == "HEAD" { String::new() } else { body };
                let answer =
                    format!("HTTP/1.1 {status}\r\n{}{length}\r\n{body}", fields.replace("OWN", &own));
                conversation.write(answer.as_bytes());
            }
        });
        Scripted { fake, heads }
    }

    /// The first lines of the requests, without those of tidegate's own checks.
    fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|head| head[0].trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }

    /// The field of the last request.
    fn last_field(&self, name: &str) -> Option<String> {
        let heads = self.heads.lock().unwrap();
        let mut fields = heads.last()?.iter().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

fn read_body(conversation: &mut Conversation, head: &[String]) {
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut left = length.unwrap_or(0);
    while left > 0 {
        left -= conversation.read_some().expect("the body is whole").len();
    }
}

/// Asks as the tests' user, for the usual host.
fn ask(tidegate: &Tidegate, line: &str) -> Response {
    ask_as(tidegate, &tidegate.host(), AUTH, line)
}

fn ask_as(tidegate: &Tidegate, host: &str, authorization: &str, line: &str) -> Response {
    let host = format!("Host: {host}");
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    Client::connect(tidegate).exchange(line, &[&host, authorization, accept, "Content-Length: 0"])
}

/// Head and body of an answer as one text.
fn whole(response: &Response) -> String {
    let fields: String = response.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{fields}\n{}", response.text())
}

/// Asserts that an answer shows `team/` only behind `hub/`.
fn shows_no_inner_name(response: &Response) {
    let shown = whole(response);
    assert!(!shown.replace("hub/team/", "").contains("team/"), "{shown}");
}
