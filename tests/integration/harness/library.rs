//! A registry that has only a catalog, with the pagination of different registries.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::fake::{Conversation, Fake};

/// The requests, and the number of names returned, over all requests.
#[derive(Clone, Default)]
pub struct Given {
    /// The heads of the requests, in order.
    pub asked: Vec<Vec<String>>,
    /// The names in the answers.
    pub names: usize,
}

pub struct Library {
    pub fake: Fake,
    given: Arc<Mutex<Given>>,
}

/// Some of the names, and whether a Link says that there are more.
pub type Page<'a> = (&'a [String], bool);

/// One request for a part of the names.
pub struct Ask<'a> {
    pub names: &'a [String],
    pub n: Option<usize>,
    pub last: Option<String>,
}

impl<'a> Ask<'a> {
    /// Pages as in distribution: `usual` names without an `n`, and an error for an `n` over `most`.
    pub fn in_pages(&self, usual: usize, most: usize) -> Result<Page<'a>, &'static str> {
        let n = self.n.unwrap_or(usual);
        if n > most {
            return Err("400 Bad Request");
        }
        let from = self.last.as_ref().map_or(0, |last| self.names.partition_point(|name| name <= last));
        let rest = &self.names[from..];
        Ok((&rest[..n.min(rest.len())], rest.len() > n))
    }
}

impl Library {
    /// Calls `answer` for each request. An error is the status code and text.
    pub fn start(
        names: Vec<String>,
        answer: impl Fn(&mut Conversation, &Ask) -> Result<(Vec<String>, bool), String> + Send + Sync + 'static,
    ) -> Library {
        let given = Arc::new(Mutex::new(Given::default()));
        let giving = given.clone();
        let fake = Fake::start(move |conversation| {
            while let Some(head) = conversation.read_head() {
                giving.lock().unwrap().asked.push(head.clone());
                let target = head[0].split(' ').nth(1).unwrap();
                let query = target.strip_prefix("/v2/_catalog").unwrap_or_default().trim_start_matches('?');
                let value = |wanted| {
                    let mut pairs = form_urlencoded::parse(query.as_bytes());
                    pairs.find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
                };
                let ask =
                    Ask { names: &names, n: value("n").map(|n| n.parse().unwrap()), last: value("last") };
                let (status, link, body) = match answer(conversation, &ask) {
                    Ok((names, more)) => {
                        giving.lock().unwrap().names += names.len();
                        let last = names.last().cloned().unwrap_or_default();
                        let link = format!("Link: </v2/_catalog?last={last}&n=9>; rel=\"next\"\r\n");
                        ("200 OK".to_owned(), link.repeat(more.into()), json!({"repositories": names}))
                    }
                    Err(status) => (status, String::new(), json!({"errors": [{"code": "FROM_REGISTRY"}]})),
                };
                let body = body.to_string();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nX-Registry: yes\r\n{link}\r\n");
                if !conversation.write(format!("{head}{body}").as_bytes()) {
                    return;
                }
            }
        });
        Library { fake, given }
    }

    /// A registry with the pagination of distribution.
    pub fn in_pages(names: Vec<String>) -> Library {
        Library::start(names, |_, ask| owned(ask.in_pages(100, 1000)))
    }

    /// The requests and answers since the last call.
    pub fn given(&self) -> Given {
        std::mem::take(&mut *self.given.lock().unwrap())
    }
}

/// Copies a page, as the answer of a library.
pub fn owned(page: Result<Page, &'static str>) -> Result<(Vec<String>, bool), String> {
    page.map(|(names, more)| (names.to_vec(), more)).map_err(str::to_owned)
}
