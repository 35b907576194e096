//! Seals what nobody may read in the engine.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;

use crate::config;
use crate::disk;
use crate::pki::read_secret;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Bytes of a pseudonym: an HMAC-SHA256, cut to 128 bits (RFC 2104 section 5).
const PSEUDONYM: usize = 16;

/// The keys that are made of the secret that all replicas have.
pub(super) struct Sealer {
    sealing: RandomizedNonceKey,
    naming: hmac::Key,
}

impl Sealer {
    pub(super) fn read(settings: &config::Shared) -> Result<Self, Problems> {
        let secret = match (&settings.secret_file, &settings.password_file) {
            (Some(file), _) => read_secret(file)?,
            (None, Some(file)) => disk::password(file)?,
            (None, None) => return Err(Problem::new("shared.secret_file", "names no file").into()),
        };
        Self::new(&secret).ok_or_else(|| Problem::new("shared", "the secrets cannot be sealed").into())
    }

    fn new(secret: &Secret) -> Option<Self> {
        let sealing = derived(secret, b"tidegate shared state, AES-256-GCM");
        let naming = derived(secret, b"tidegate shared state, pseudonyms");
        Some(Self {
            sealing: RandomizedNonceKey::new(&AES_256_GCM, sealing.as_ref()).ok()?,
            naming: hmac::Key::new(hmac::HMAC_SHA256, naming.as_ref()),
        })
    }

    /// Nonce, ciphertext and tag. `None` if the system has no random numbers.
    pub(super) fn seal(&self, key: &str, plain: &Secret) -> Option<Vec<u8>> {
        let mut sealed = plain.expose().to_vec();
        let nonce = self.sealing.seal_in_place_append_tag(Aad::from(key.as_bytes()), &mut sealed).ok()?;
        Some([&nonce.as_ref()[..], &sealed].concat())
    }

    pub(super) fn open(&self, key: &str, sealed: &[u8]) -> Option<Secret> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let plain = self.sealing.open_in_place(nonce, Aad::from(key.as_bytes()), &mut sealed).ok()?;
        Some(Secret::new(&*plain))
    }

    pub(super) fn pseudonym(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.naming);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let whole = context.sign();
        HEXLOWER.encode(whole.as_ref().get(..PSEUDONYM).unwrap_or_default())
    }
}

fn derived(secret: &Secret, purpose: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), purpose)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: &[u8]) -> Sealer {
        Sealer::new(&Secret::new(secret)).unwrap()
    }

    #[test]
    fn a_secret_is_opened_only_under_its_key_and_with_the_same_secret() {
        let (ours, theirs) = (sealer(b"one"), sealer(b"other"));
        let plain = Secret::new(*b"hunter2");
        let sealed = ours.seal("a:b", &plain).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(sealer(b"one").open("a:b", &sealed), Some(plain.clone()));
        assert_eq!(ours.open("a:c", &sealed), None);
        assert_eq!(theirs.open("a:b", &sealed), None);
        assert_ne!(ours.seal("a:b", &plain).unwrap(), sealed, "never twice the same");
        for length in 0..sealed.len() {
            assert_eq!(ours.open("a:b", &sealed[..length]), None);
        }
    }

    #[test]
    fn pseudonyms_do_not_run_together_and_need_the_secret() {
        let ours = sealer(b"one");
        assert_eq!(ours.pseudonym(&[b"ab", b"c"]), sealer(b"one").pseudonym(&[b"ab", b"c"]));
        assert_ne!(ours.pseudonym(&[b"ab", b"c"]), ours.pseudonym(&[b"a", b"bc"]));
        assert_ne!(ours.pseudonym(&[b"ab"]), sealer(b"other").pseudonym(&[b"ab"]));
        assert_eq!(ours.pseudonym(&[]).len(), 2 * PSEUDONYM);
    }
}
