//! One event, and its line.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use super::super::object::{Object, key};
use super::super::text::{clean, microseconds};

/// Most characters of a field that clients or operators write.
const MOST: usize = 256;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Push,
    Upload,
    Pull,
    Delete,
    Login,
    Token,
    Refused,
    Reload,
    Certificate,
    Revoked,
    Start,
    Handover,
    Stop,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Upload => "upload",
            Self::Pull => "pull",
            Self::Delete => "delete",
            Self::Login => "login",
            Self::Token => "token",
            Self::Refused => "refused",
            Self::Reload => "reload",
            Self::Certificate => "certificate",
            Self::Revoked => "revoked",
            Self::Start => "start",
            Self::Handover => "handover",
            Self::Stop => "stop",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    /// It was tried, and did not succeed.
    Failure,
    /// It was not allowed.
    Denied,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }
}

/// How a user has proven who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Password,
    Token,
    Certificate,
    /// A token of an issuer.
    IdToken,
}

impl Authentication {
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::IdToken => "id_token",
        }
    }
}

/// One event. What is not known is `None`. No field may hold a secret.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub event: Event,
    pub outcome: Outcome,
    /// The id of the request in the access log.
    pub id: Option<&'a str>,
    pub user: Option<&'a str>,
    /// The user that a client named without proof, if there is such a user.
    pub claimed: Option<&'a str>,
    pub authentication: Option<Authentication>,
    /// Who has judged that, as in the access log.
    pub source: Option<&'a str>,
    /// The name in the client's certificate; for [`Event::Certificate`], in tidegate's.
    pub certificate: Option<&'a str>,
    /// The client behind trusted proxies, else the peer.
    pub client: Option<IpAddr>,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
    pub repository: Option<&'a str>,
    /// The tag, or several with commas between them. Never cut: a push could hide a tag otherwise.
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
    /// The repository that a blob was mounted from.
    pub from: Option<&'a str>,
    pub media_type: Option<&'a str>,
    pub bytes: Option<u64>,
    pub status: Option<u16>,
    /// The rules that allowed the request.
    pub rule: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub duration: Option<Duration>,
}

impl Entry<'_> {
    pub(crate) const fn new(event: Event, outcome: Outcome) -> Self {
        Self {
            event,
            outcome,
            id: None,
            user: None,
            claimed: None,
            authentication: None,
            source: None,
            certificate: None,
            client: None,
            peer: None,
            user_agent: None,
            repository: None,
            tag: None,
            digest: None,
            from: None,
            media_type: None,
            bytes: None,
            status: None,
            rule: None,
            reason: None,
            duration: None,
        }
    }

    /// The line as a JSON object with every key, but for `time` and `seq`, which are its first.
    pub(super) fn rest_of_line(&self, node: &str) -> String {
        let mut line = Object::new();
        line.text(key!("node"), &cut(node));
        line.text_or_null(key!("id"), self.id);
        line.text(key!("event"), self.event.as_str());
        line.text(key!("outcome"), self.outcome.as_str());
        line.text_or_null(key!("user"), self.user.map(cut));
        line.text_or_null(key!("claimed"), self.claimed.map(cut));
        line.text_or_null(key!("authentication"), self.authentication.map(Authentication::as_str));
        line.text_or_null(key!("source"), self.source);
        line.text_or_null(key!("certificate"), self.certificate.map(cut));
        line.text_or_null(key!("client"), self.client.map(|address| address.to_string()));
        line.text_or_null(key!("peer"), self.peer.map(|address| address.to_string()));
        line.text_or_null(key!("user_agent"), self.user_agent.map(cut));
        line.text_or_null(key!("repository"), self.repository.map(cut));
        line.text_or_null(key!("tag"), self.tag);
        line.text_or_null(key!("digest"), self.digest.map(cut));
        line.text_or_null(key!("from"), self.from.map(cut));
        line.text_or_null(key!("media_type"), self.media_type.map(cut));
        line.number_or_null(key!("bytes"), self.bytes);
        line.number_or_null(key!("status"), self.status);
        line.text_or_null(key!("rule"), self.rule.map(cut));
        line.text_or_null(key!("reason"), self.reason.map(cut));
        match self.duration {
            Some(duration) => line.thousandths(key!("duration_ms"), microseconds(duration)),
            None => line.number(key!("duration_ms"), "null"),
        }
        line.end()
    }
}

/// At most [`MOST`] characters, without the user information of URLs.
fn cut(field: &str) -> Cow<'_, str> {
    // No longer text becomes one of fewer characters.
    let field = clean(field);
    match field.char_indices().nth(MOST) {
        None => field,
        Some((end, _)) => Cow::Owned(field[..end].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_in_a_fixed_order() {
        let empty = Entry::new(Event::Start, Outcome::Success).rest_of_line("door-1");
        let expected = r#"{"node":"door-1","id":null,"event":"start","outcome":"success","user":null,"claimed":null,"authentication":null,"source":null,"certificate":null,"client":null,"peer":null,"user_agent":null,"repository":null,"tag":null,"digest":null,"from":null,"media_type":null,"bytes":null,"status":null,"rule":null,"reason":null,"duration_ms":null}"#;
        assert_eq!(empty, expected);
        let full = Entry {
            id: Some("2a"),
            user: Some("alice"),
            authentication: Some(Authentication::Password),
            client: Some("2001:db8::1".parse().unwrap()),
            tag: Some("v1"),
            bytes: Some(1 << 40),
            status: Some(201),
            duration: Some(Duration::from_micros(1_234_567)),
            ..Entry::new(Event::Push, Outcome::Failure)
        };
        let line = full.rest_of_line("door-1");
        for part in [
            r#""id":"2a","event":"push","outcome":"failure","user":"alice","claimed":null,"authentication":"password""#,
            r#""client":"2001:db8::1","peer":null"#,
            r#""tag":"v1","digest":null"#,
            r#""bytes":1099511627776,"status":201,"#,
            r#""duration_ms":1234.567}"#,
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn fields_are_cut_at_a_character_and_hold_no_password_of_a_url() {
        for character in ["a", "é", "€", "\u{1f6a2}"] {
            let exact = character.repeat(MOST);
            assert_eq!(cut(&exact), exact);
            assert_eq!(cut(&format!("{exact}{character}")), exact);
            assert_eq!(cut(&character.repeat(5000)), exact);
        }
        assert_eq!(cut("see https://alice:secret@host/x"), "see https://***@host/x");
        let tags = ["v".repeat(128), "w".repeat(128), "latest".to_owned()].join(",");
        let push = Entry { tag: Some(&tags), ..Entry::new(Event::Push, Outcome::Success) };
        assert!(push.rest_of_line("n").contains(&tags));
    }

    #[test]
    fn what_a_client_writes_stays_in_its_field() {
        let hostile = "a\",\"outcome\":\"success\"\n{\"\u{202e}<b>";
        let entry = Entry { user_agent: Some(hostile), ..Entry::new(Event::Login, Outcome::Failure) };
        let line = entry.rest_of_line("n");
        assert!(!line.contains('\n') && !line.contains('\u{202e}'), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((read["user_agent"].as_str(), read["outcome"].as_str()), (Some(hostile), Some("failure")));
    }
}
