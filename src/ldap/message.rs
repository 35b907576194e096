//! The messages of a client that searches and binds: RFC 4511, section 4.

use super::ber::{
    BOOLEAN, ENUMERATED, Elements, INTEGER, OCTETS, SEQUENCE, SET, constructed, element, number, whole,
};

pub(crate) use super::ber::Malformed;

const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_ANSWER: u8 = 0x78;
/// The password of a bind (section 4.2), and the name of an extended operation (section 4.12).
const CONTEXT_0: u8 = 0x80;
const VERSION: u32 = 3;
/// RFC 4511, section 4.5.1.2.
const SUBTREE: u32 = 2;
/// RFC 4511, section 4.14.1.
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// A search in the whole tree below an entry.
#[derive(Clone, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    /// The most entries that the server may send.
    pub(crate) size_limit: u32,
    /// In seconds.
    pub(crate) time_limit: u32,
    /// As [`super::Filter`] writes it.
    pub(crate) filter: Vec<u8>,
    pub(crate) attributes: &'a [&'a str],
}

/// What a server says to the request `id`; 0 is to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u32,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Entry(Entry),
    /// Entries may be at another server.
    Reference,
    /// The end of a search.
    Searched(Outcome),
    Bound(Outcome),
    /// The end of an extended operation, or a notice that nobody asked for.
    Extended(Outcome),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// RFC 4511, appendix A.
    pub(crate) code: u32,
    /// For people.
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute. Its name has no case, and options behind it do not count.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let bare = |full: &str| full.split(';').next().unwrap_or_default().to_ascii_lowercase();
        let name = bare(name);
        let named = self.attributes.iter().filter(move |(full, _)| bare(full) == name);
        named.flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }
}

/// A simple bind. An empty password would be an anonymous bind that succeeds.
pub(crate) fn bind(id: u32, dn: &str, password: &[u8]) -> Vec<u8> {
    let content = [number(INTEGER, VERSION), element(OCTETS, dn.as_bytes()), element(CONTEXT_0, password)];
    message(id, constructed(BIND, content))
}

pub(crate) fn search(id: u32, search: &Search<'_>) -> Vec<u8> {
    let Search { base, size_limit, time_limit, filter, attributes } = search;
    let attributes = attributes.iter().map(|name| element(OCTETS, name.as_bytes()));
    let content = [
        element(OCTETS, base.as_bytes()),
        number(ENUMERATED, SUBTREE),
        // Aliases are not followed.
        number(ENUMERATED, 0),
        number(INTEGER, *size_limit),
        number(INTEGER, *time_limit),
        element(BOOLEAN, &[0]),
        filter.clone(),
        constructed(SEQUENCE, attributes),
    ];
    message(id, constructed(SEARCH, content))
}

pub(crate) fn start_tls(id: u32) -> Vec<u8> {
    message(id, constructed(EXTENDED, [element(CONTEXT_0, START_TLS)]))
}

/// How many bytes the first message of `bytes` has. `None` if that is not known yet.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    match bytes.first() {
        None | Some(&SEQUENCE) => whole(bytes),
        Some(_) => Err(Malformed),
    }
}

impl Message {
    /// Reads one whole message. Controls at its end are ignored.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut content = Elements(Elements(bytes).take(SEQUENCE)?);
        let id = content.number(INTEGER)?;
        let (tag, body) = content.next()?.ok_or(Malformed)?;
        let answer = match tag {
            ENTRY => Answer::Entry(entry(body)?),
            REFERENCE => Answer::Reference,
            SEARCH_DONE => Answer::Searched(outcome(body)?),
            BIND_ANSWER => Answer::Bound(outcome(body)?),
            EXTENDED_ANSWER => Answer::Extended(outcome(body)?),
            _ => return Err(Malformed),
        };
        Ok(Self { id, answer })
    }
}

fn message(id: u32, operation: Vec<u8>) -> Vec<u8> {
    constructed(SEQUENCE, [number(INTEGER, id), operation])
}

/// An `LDAPResult`. What follows the text, such as referrals, is ignored.
fn outcome(body: &[u8]) -> Result<Outcome, Malformed> {
    let mut body = Elements(body);
    let code = body.number(ENUMERATED)?;
    body.take(OCTETS)?;
    Ok(Outcome { code, text: body.text()? })
}

fn entry(body: &[u8]) -> Result<Entry, Malformed> {
    let mut body = Elements(body);
    // A name that is changed in any way would be another one.
    let dn = String::from_utf8(body.take(OCTETS)?.to_vec()).map_err(|_| Malformed)?;
    let mut list = Elements(body.take(SEQUENCE)?);
    let mut attributes = Vec::new();
    while let Some((SEQUENCE, attribute)) = list.next()? {
        let mut attribute = Elements(attribute);
        let name = attribute.text()?;
        let mut set = Elements(attribute.take(SET)?);
        let mut values = Vec::new();
        while let Some((OCTETS, value)) = set.next()? {
            values.push(value.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(name: &str, values: &[&str]) -> Vec<u8> {
        let values = values.iter().map(|value| element(OCTETS, value.as_bytes()));
        constructed(SEQUENCE, [element(OCTETS, name.as_bytes()), constructed(SET, values)])
    }

    fn result(tag: u8, code: u32, text: &str) -> Vec<u8> {
        constructed(tag, [number(ENUMERATED, code), element(OCTETS, b""), element(OCTETS, text.as_bytes())])
    }

    #[test]
    fn requests_are_written_as_in_the_standard() {
        let written = bind(1, "cn=a", b"pw");
        assert_eq!(written, b"\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x04cn=a\x80\x02pw");
        let written = start_tls(2);
        assert_eq!(written, b"\x30\x1d\x02\x01\x02\x77\x18\x80\x161.3.6.1.4.1.1466.20037");
        let search = search(
            3,
            &Search {
                base: "o=x",
                size_limit: 2,
                time_limit: 3,
                filter: vec![0x87, 1, b'u'],
                attributes: &["uid"],
            },
        );
        let expected = b"\x30\x23\x02\x01\x03\x63\x1e\x04\x03o=x\x0a\x01\x02\x0a\x01\x00\x02\x01\x02\x02\x01\x03\x01\x01\x00\x87\x01u\x30\x05\x04\x03uid";
        assert_eq!(search, expected);
        assert_eq!(frame(&search), Ok(Some(search.len())));
    }

    #[test]
    fn answers_are_read() {
        let attributes = [attribute("UID", &["alice", "a"]), attribute("cn;lang-de", &["A"])];
        let entry =
            constructed(ENTRY, [element(OCTETS, b"uid=alice,o=x"), constructed(SEQUENCE, attributes)]);
        let Answer::Entry(entry) = Message::parse(&message(7, entry)).unwrap().answer else { panic!() };
        assert_eq!(entry.dn, "uid=alice,o=x");
        assert_eq!(entry.values("uid").collect::<Vec<_>>(), [b"alice".as_slice(), b"a"]);
        assert_eq!(entry.values("CN").collect::<Vec<_>>(), [b"A"]);
        assert_eq!(entry.values("mail").count(), 0);
        let outcome = Outcome { code: 49, text: "no".to_owned() };
        for (tag, answer) in [
            (BIND_ANSWER, Answer::Bound(outcome.clone())),
            (SEARCH_DONE, Answer::Searched(outcome.clone())),
            (EXTENDED_ANSWER, Answer::Extended(outcome)),
        ] {
            let read = Message::parse(&message(8, result(tag, 49, "no")));
            assert_eq!(read, Ok(Message { id: 8, answer }));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let unknown = message(1, element(0x6f, b""));
        let no_utf8 = constructed(ENTRY, [element(OCTETS, b"uid=\xff"), constructed(SEQUENCE, [])]);
        for bytes in [&b""[..], b"\x30\x00", b"HTTP/1.1 400", &unknown, &message(1, no_utf8)] {
            assert_eq!(Message::parse(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(frame(b"SSH-2.0"), Err(Malformed));
        assert_eq!(frame(b"\x30\x84\x00"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            _ = (Message::parse(&bytes), frame(&bytes));
            _ = Message::parse(&message(1, element(ENTRY, &bytes)));
            _ = Message::parse(&message(1, element(BIND_ANSWER, &bytes)));
        }
    }
}
