//! `$apr1$`, Apache's variant of FreeBSD's MD5 crypt. Its thousand rounds of MD5 are weak, so it is
//! accepted only if the settings allow it. Source: the comments in `apr_md5.c` of the APR.

use md5::{Digest, Md5};

use super::crypt64;

/// The longest salt that is used; Apache writes eight characters.
pub(super) const SALT: usize = 8;
/// The length of the digest part in characters.
pub(super) const DIGEST: usize = 22;

/// The digest part of `$apr1$salt$digest` for a password.
pub(super) fn digest(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        first.update(&inner[..chunk.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        match (length & 1, password.first()) {
            (0, Some(byte)) => first.update([*byte]),
            _ => first.update([0]),
        }
        length >>= 1;
    }

    let mut last = first.finalize();
    for round in 0..1000 {
        let odd = round & 1 == 1;
        let mut next = Md5::new();
        next.update(if odd { password } else { &last });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &last[..] } else { password });
        last = next.finalize();
    }

    let mut text = Vec::with_capacity(DIGEST);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        crypt64::push(&mut text, &[last[a], last[b], last[c]]);
    }
    crypt64::push(&mut text, &[last[11]]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl passwd -apr1 -salt SALT PASSWORD` and with `htpasswd -nbm`.
    const VECTORS: [(&str, &str, &str); 5] = [
        ("correct horse", "abcdefgh", "sIQmFnT1CuEXAsyjuXjUX/"),
        ("", "x", "tMwYqBfQwi3FYAr0aJc8M/"),
        (
            "a very long password that goes on past sixty-four bytes for the sake of md5 blocks",
            "12345678",
            "a6F.yEF3zCCrdB3rv6Cgp1",
        ),
        ("hunter2", ".8Hbj/rW", "eDgXb.6OTejh9IcK.bYsS."),
        ("Grün", "73K10kAM", "VFMDO.FtyaclzlqOUBzyq1"),
    ];

    #[test]
    fn computes_what_openssl_and_apache_compute() {
        for (password, salt, expected) in VECTORS {
            let digest = digest(password.as_bytes(), salt.as_bytes());
            assert_eq!(String::from_utf8(digest).unwrap(), expected, "{password:?}");
        }
    }
}
