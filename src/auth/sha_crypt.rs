//! `$5$` and `$6$`, the SHA-2 crypt of glibc, in the text form of crypt(3).
//! Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512".

use sha_crypt::{Params, sha256_crypt, sha512_crypt};

use super::crypt64;

/// The longest salt that is used.
pub(super) const SALT: usize = 16;

/// Which SHA-2 a hash was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// `$5$`
    Sha256,
    /// `$6$`
    Sha512,
}

impl Variant {
    /// The length of the digest part in characters.
    pub(super) fn digest_length(self) -> usize {
        match self {
            Self::Sha256 => 43,
            Self::Sha512 => 86,
        }
    }

    /// The digest part of `$5$salt$digest` for a password.
    pub(super) fn digest(self, password: &[u8], salt: &[u8], rounds: Params) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.digest_length());
        match self {
            Self::Sha256 => {
                let bytes = sha256_crypt(password, salt, rounds);
                let (mut a, mut b, mut c) = (0, 10, 20);
                for _ in 0..10 {
                    crypt64::push(&mut text, &[bytes[a], bytes[b], bytes[c]]);
                    (a, b, c) = (c + 1, a + 1, b + 1);
                }
                crypt64::push(&mut text, &[bytes[31], bytes[30]]);
            }
            Self::Sha512 => {
                let bytes = sha512_crypt(password, salt, rounds);
                let (mut a, mut b, mut c) = (0, 21, 42);
                for _ in 0..21 {
                    crypt64::push(&mut text, &[bytes[a], bytes[b], bytes[c]]);
                    (a, b, c) = (b + 1, c + 1, a + 1);
                }
                crypt64::push(&mut text, &[bytes[63]]);
            }
        }
        text
    }
}
