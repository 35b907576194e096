//! The `Authorization` field: RFC 7617 and RFC 6750.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderMap};
use thiserror::Error;

use crate::secret::Secret;

/// Longest token, in bytes.
pub(crate) const MAX_BEARER: usize = 16 * 1024;
/// Longest user and password together, in bytes, with the colon.
const MAX_PASSWORD: usize = 4096;
/// The same if the password is a token.
const MAX_BASIC: usize = MAX_BEARER + 256;

/// The standard alphabet, with or without padding, because clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A user and a password: bytes of unknown encoding, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Basic {
    /// The text before the first colon; may be empty.
    pub user: Vec<u8>,
    /// The text after the first colon; may be empty.
    pub password: Secret,
}

impl Basic {
    /// `None` if both, with the colon between them, are longer than a token and a name, or hold a
    /// control character: bcrypt implementations end or repeat a password there.
    pub(crate) fn new(user: Vec<u8>, password: Secret) -> Option<Basic> {
        let mut whole = user.iter().chain(password.expose());
        let fits = user.len() + 1 + password.expose().len() <= MAX_BASIC;
        (fits && !whole.any(u8::is_ascii_control)).then_some(Basic { user, password })
    }

    /// Whether both, with the colon between them, are longer than 4 KiB: too long for a password
    /// that is not a token.
    pub(crate) fn is_long(&self) -> bool {
        self.user.len() + 1 + self.password.expose().len() > MAX_PASSWORD
    }
}

/// The proof of identity in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// There is no `Authorization` field.
    Absent,
    /// A user and a password.
    Basic(Basic),
    /// A token: at most 16 KiB of the characters that RFC 6750 allows.
    Bearer(Secret),
    /// Another scheme, undecodable text, no colon, or a pair that [`Basic::new`] does not accept.
    Malformed,
}

/// Two `Authorization` fields, even if they are equal: the registry might read the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than one Authorization field")]
pub(crate) struct TwoAuthorizations;

/// Reads the credentials of a request. The case of the scheme does not matter.
///
/// # Errors
/// There is more than one `Authorization` field.
pub(crate) fn read(headers: &HeaderMap) -> Result<Credentials, TwoAuthorizations> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(Credentials::Absent) };
    if lines.next().is_some() {
        return Err(TwoAuthorizations);
    }
    let line = line.as_bytes();
    let basic = || scheme(line, "Basic").and_then(basic).map(Credentials::Basic);
    let bearer = || scheme(line, "Bearer").and_then(bearer).map(Credentials::Bearer);
    Ok(basic().or_else(bearer).unwrap_or(Credentials::Malformed))
}

/// The text after the name of this scheme.
fn scheme<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (scheme, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b" ")?.trim_ascii();
    scheme.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
}

/// RFC 6750 section 2.1: what RFC 7235 calls token68.
fn bearer(token: &[u8]) -> Option<Secret> {
    let bare = token.iter().rposition(|byte| *byte != b'=')? + 1;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    (token.len() <= MAX_BEARER && token[..bare].iter().all(fits)).then(|| Secret::new(token))
}

fn basic(encoded: &[u8]) -> Option<Basic> {
    // Four characters hold three bytes. A longer text is not worth decoding.
    if encoded.len() > MAX_BASIC.div_ceil(3) * 4 {
        return None;
    }
    let mut user = BASE64.decode(encoded).ok()?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = Secret::new(&user[colon + 1..]);
    user.truncate(colon);
    Basic::new(user, password)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read_one(line: &[u8]) -> Credentials {
        let line = HeaderValue::from_bytes(line).unwrap();
        read(&HeaderMap::from_iter([(AUTHORIZATION, line)])).unwrap()
    }

    fn encoded(pair: &[u8]) -> Credentials {
        read_one(format!("Basic {}", BASE64_STANDARD.encode(pair)).as_bytes())
    }

    fn pair(user: &[u8], password: &[u8]) -> Credentials {
        Credentials::Basic(Basic { user: user.to_vec(), password: Secret::new(password) })
    }

    #[test]
    fn users_and_passwords() {
        for (sent, user, password) in [
            (&b"testuser:testpass"[..], &b"testuser"[..], &b"testpass"[..]),
            (b"user:", b"user", b""),
            (b":password", b"", b"password"),
            (b":", b"", b""),
            (b"user:a:b:", b"user", b"a:b:"),
            (b"\xff\xe4:\xc3\xa4\x80", b"\xff\xe4", b"\xc3\xa4\x80"),
            (b"a b: c ", b"a b", b" c "),
        ] {
            assert_eq!(encoded(sent), pair(user, password), "{sent:?}");
        }
    }

    #[test]
    fn ways_to_write_it() {
        for line in [
            "Basic dTpw",
            "basic dTpw",
            "BASIC dTpw",
            "Basic   dTpw",
            "Basic dTpw ",
            "Basic dTpwcA==",
            "Basic dTpwcA",
            "Basic dTpwcA=",
            "Basic dTpwcB",
        ] {
            assert!(matches!(read_one(line.as_bytes()), Credentials::Basic(_)), "{line}");
        }
    }

    #[test]
    fn malformed() {
        for line in [
            "",
            "Basic",
            "Basic ",
            "Basicdtpw",
            "Basic\tdTpw",
            "dTpw",
            "Basic dXA=",
            "Basic d",
            "Basic d!pw",
            "Basic dT pw",
            "Basic dTpw, Basic dTpw",
            "Basic dTpw====",
            "Basic -_-_",
            "Digest u",
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Bearer a=b",
            "Bearer a b",
            "Bearer a, Basic dTpw",
            "Bearer\ta",
            "Bearer \"a\"",
            "Basics dTpw",
        ] {
            assert_eq!(read_one(line.as_bytes()), Credentials::Malformed, "{line}");
        }
        assert_eq!(read_one(b"Basic \xff\xff"), Credentials::Malformed);
    }

    #[test]
    fn control_characters_are_refused() {
        for byte in (0..0x20).chain([0x7f]) {
            for sent in [[b'u', byte, b':', b'p'], [b'u', b':', b'p', byte], [b'u', b':', byte, b'p']] {
                assert_eq!(encoded(&sent), Credentials::Malformed, "{sent:?}");
            }
        }
    }

    #[test]
    fn four_kib_is_the_longest() {
        let mut longest = b"u:".to_vec();
        longest.resize(MAX_BASIC, b'p');
        assert_eq!(encoded(&longest), pair(b"u", &longest[2..]));
        longest.push(b'p');
        assert_eq!(encoded(&longest), Credentials::Malformed);
        longest.resize(1 << 20, b'p');
        assert_eq!(encoded(&longest), Credentials::Malformed);
    }

    #[test]
    fn tokens() {
        for line in ["Bearer aZ0.-_~+/x", "bearer aZ0.-_~+/x", "BEARER   aZ0.-_~+/x "] {
            let expected = Credentials::Bearer(Secret::new(*b"aZ0.-_~+/x"));
            assert_eq!(read_one(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(read_one(b"Bearer YQ=="), Credentials::Bearer(Secret::new(*b"YQ==")));
        let longest = format!("Bearer {}", "a".repeat(MAX_BEARER));
        assert!(matches!(read_one(longest.as_bytes()), Credentials::Bearer(_)));
        assert_eq!(read_one(format!("{longest}a").as_bytes()), Credentials::Malformed);
        assert!(!format!("{:?}", read_one(b"Bearer hunter2")).contains("hunter2"));
    }

    #[test]
    fn none_and_two() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), Ok(Credentials::Absent));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
        assert_eq!(read(&headers), Err(TwoAuthorizations));
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", encoded(b"user:hunter2")).contains("hunter2"));
        assert!(!format!("{:?}", encoded(b"user:hunter2")).contains(&format!("{:?}", b"hunter2")));
    }

    proptest! {
        #[test]
        fn any_pair_comes_back(
            user in prop::collection::vec(any::<u8>(), 0..20),
            password in prop::collection::vec(any::<u8>(), 0..20),
            padded: bool,
        ) {
            let sent = [user.as_slice(), b":", &password].concat();
            let text = if padded { BASE64_STANDARD.encode(&sent) } else { BASE64_STANDARD_NO_PAD.encode(&sent) };
            let colon = sent.iter().position(|&byte| byte == b':').unwrap();
            let expected = if sent.iter().any(u8::is_ascii_control) {
                Credentials::Malformed
            } else {
                pair(&sent[..colon], &sent[colon + 1..])
            };
            prop_assert_eq!(read_one(format!("bAsIc {text}").as_bytes()), expected);
        }

        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..40), basic: bool) {
            let line = if basic { [b"Basic ", line.as_slice()].concat() } else { line };
            if HeaderValue::from_bytes(&line).is_ok() {
                read_one(&line);
            }
        }
    }
}
