//! The `Authorization` field: RFC 7617.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderMap};
use thiserror::Error;

use crate::secret::Secret;

/// Longest user and password together, in bytes, with the colon.
const MAX_BASIC: usize = 4096;

/// The standard alphabet, with or without padding: clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A user and a password: bytes, of no known encoding, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basic {
    /// What stands before the first colon; may be empty.
    pub user: Vec<u8>,
    /// What stands after the first colon; may be empty.
    pub password: Secret,
}

/// What a request brings to prove who it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No `Authorization` at all.
    None,
    /// A user and a password.
    Basic(Basic),
    /// Something that cannot be right: another scheme, undecodable, no colon, longer than 4 KiB, or a
    /// control character, at which bcrypt implementations end or repeat a password.
    Malformed,
}

/// Two `Authorization` fields, be they equal: the registry might read the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more than one Authorization field")]
pub struct TwoAuthorizations;

/// Reads the credentials of a request. The scheme counts in any case of letters.
///
/// # Errors
/// When the field is there more than once.
pub fn read(headers: &HeaderMap) -> Result<Credentials, TwoAuthorizations> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(Credentials::None) };
    if lines.next().is_some() {
        return Err(TwoAuthorizations);
    }
    Ok(basic(line.as_bytes()).map_or(Credentials::Malformed, Credentials::Basic))
}

fn basic(line: &[u8]) -> Option<Basic> {
    let (scheme, rest) = line.split_at_checked(b"basic".len())?;
    let encoded = rest.strip_prefix(b" ")?.trim_ascii();
    // Four characters hold three bytes; what is longer is not worth decoding.
    if !scheme.eq_ignore_ascii_case(b"basic") || encoded.len() > MAX_BASIC.div_ceil(3) * 4 {
        return None;
    }
    let mut user = BASE64.decode(encoded).ok()?;
    if user.len() > MAX_BASIC || user.iter().any(u8::is_ascii_control) {
        return None;
    }
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = Secret::new(&user[colon + 1..]);
    user.truncate(colon);
    Some(Basic { user, password })
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
            "Bearer dTpw",
            "Digest u",
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
    fn none_and_two() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), Ok(Credentials::None));
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
