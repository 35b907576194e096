//! The `Authorization` fields of a request, one a line.
//!
//! What was read and is written again in the usual way is read as the same. Two fields are refused,
//! even if they are equal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::pieces::field;
use crate::header::credentials::{Credentials, MAX_BEARER, read};

/// Checks one input.
pub(super) fn credentials(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let mut headers = HeaderMap::new();
    for line in lines.iter().take(3) {
        headers.extend(field(line).map(|value| (AUTHORIZATION, value)));
    }
    let Ok(credentials) = read(&headers) else {
        assert!(headers.len() > 1);
        return;
    };
    assert!(headers.len() <= 1, "one of two fields was read");
    assert_eq!(credentials == Credentials::Absent, headers.is_empty());
    let usual = match &credentials {
        Credentials::Absent | Credentials::Malformed => return,
        Credentials::Basic(basic) => {
            let whole = [&basic.user, b":".as_slice(), basic.password.expose()].concat();
            assert!(!basic.user.contains(&b':') && !whole.iter().any(u8::is_ascii_control));
            assert!(whole.len() <= 4096);
            format!("bAsIc {}", STANDARD.encode(&whole)).into_bytes()
        }
        Credentials::Bearer(token) => {
            let token = token.expose();
            assert!(!token.is_empty() && token.len() <= MAX_BEARER && token.iter().all(u8::is_ascii_graphic));
            [b"bEaReR ", token].concat()
        }
    };
    let again = HeaderMap::from_iter(field(&usual).map(|value| (AUTHORIZATION, value)));
    assert_eq!(read(&again), Ok(credentials));
}
