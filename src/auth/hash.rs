//! A stored hash: the part of an htpasswd line after the colon.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::Params;

use super::sha_crypt::Variant;
use super::{apr1, crypt64, sha_crypt as sha2};

/// The lowest valid bcrypt cost.
pub(crate) const LOWEST_COST: u32 = 4;
/// The highest bcrypt cost that is accepted. One check at cost 14 takes about a second.
pub(crate) const HIGHEST_COST: u32 = 14;

/// The most rounds of `$5$` and `$6$` that are accepted. One check takes about half a second.
const HIGHEST_ROUNDS: u32 = 1_000_000;
/// Rounds of SHA-512 crypt that take as long as one unit of bcrypt work. A hash of cost c has 2^c
/// units.
const ROUNDS_PER_UNIT: u32 = 160;
/// Bytes of a password for a legacy hash; the limit of crypt(3). Their time grows with the length,
/// for `$5$` and `$6$` with its square.
const LONGEST_LEGACY_PASSWORD: usize = 512;

/// SHA-256 of the text of a stored hash, or of what stands for it at another source. Tells two
/// apart without revealing either.
pub(super) type Fingerprint = [u8; 32];

/// The stored hash of a password. `Debug` does not print it.
pub(crate) struct StoredHash {
    kind: Kind,
    cost: u32,
    fingerprint: Fingerprint,
}

enum Kind {
    /// The whole text with its prefix; [`parse_bcrypt`] has checked that `bcrypt` can read it.
    Bcrypt(Box<str>),
    Apr1 {
        salt: Box<[u8]>,
        digest: Box<[u8]>,
    },
    /// `{SHA}` has no salt, `{SSHA}` has one.
    Sha1 {
        salt: Box<[u8]>,
        digest: Box<[u8]>,
    },
    ShaCrypt {
        variant: Variant,
        rounds: Params,
        salt: Box<[u8]>,
        digest: Box<[u8]>,
    },
}

/// Why a stored hash is refused. The message never quotes the text, which may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashError {
    #[error("there is no hash after the colon")]
    Empty,
    /// `$2y$15$` and above.
    #[error("bcrypt cost {0} takes seconds for every check; use {LOWEST_COST} to {HIGHEST_COST}, usually 10")]
    Cost(u32),
    /// `$2x$`
    #[error("$2x$ marks hashes of a faulty bcrypt; set the password again")]
    TwoX,
    /// A known prefix, followed by something invalid.
    #[error("this {0} hash is truncated or damaged")]
    Damaged(&'static str),
    /// For `$5$` and `$6$`.
    #[error("SHA-2 crypt with {0} rounds is refused; use 1000 to {HIGHEST_ROUNDS}")]
    Rounds(u64),
    /// A weak kind that the settings do not allow.
    #[error(
        "{0} hashes are weak and refused; set the password again, which makes it bcrypt, or set legacy_hashes = true in [auth]"
    )]
    Legacy(&'static str),
    /// Thirteen characters, as the oldest crypt(3) writes them.
    #[error("DES crypt is refused: it uses 8 bytes and is broken in minutes; set the password again")]
    Des,
    /// Another kind of hash, or the password itself.
    #[error(
        "this is not a known hash, perhaps plain text; set the password again, which makes it bcrypt ($2y$)"
    )]
    Unknown,
}

impl StoredHash {
    /// Reads the text after the colon: bcrypt, and if `legacy_hashes` is set, also `$apr1$`,
    /// `{SHA}`, `{SSHA}`, `$5$` and `$6$`.
    pub(crate) fn parse(text: &[u8], legacy_hashes: bool) -> Result<StoredHash, HashError> {
        let (kind, cost) = parse_kind(text)?;
        let stored = Self { kind, cost, fingerprint: fingerprint(text) };
        match stored.kind {
            Kind::Bcrypt(_) => Ok(stored),
            _ if legacy_hashes => Ok(stored),
            _ => Err(HashError::Legacy(stored.name())),
        }
    }

    /// Makes a bcrypt hash with a random salt and the prefix `$2y$`, as Apache's htpasswd does.
    ///
    /// `cost` is from [`LOWEST_COST`] to [`HIGHEST_COST`]. Bytes after the 72nd have no effect.
    pub(crate) fn make(password: &[u8], cost: u32) -> Result<String, bcrypt::BcryptError> {
        Ok(bcrypt::hash_with_result(password, cost)?.format_for_version(bcrypt::Version::TwoY))
    }

    /// Whether this is the hash of the password. Takes the time that the cost of the hash asks for.
    ///
    /// bcrypt uses the first 72 bytes only, as in Apache's htpasswd. A password with a NUL never
    /// matches: bcrypt would take the NUL for its end and repeat it.
    pub(crate) fn matches(&self, password: &[u8]) -> bool {
        if password.contains(&0) {
            return false;
        }
        if self.is_legacy() && password.len() > LONGEST_LEGACY_PASSWORD {
            return false;
        }
        let (computed, stored) = match &self.kind {
            Kind::Bcrypt(text) => return bcrypt::verify(password, text).unwrap_or(false),
            Kind::Apr1 { salt, digest } => (apr1::digest(password, salt), digest),
            Kind::Sha1 { salt, digest } => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(password);
                context.update(salt);
                (context.finish().as_ref().to_vec(), digest)
            }
            Kind::ShaCrypt { variant, rounds, salt, digest } => {
                (variant.digest(password, salt, *rounds), digest)
            }
        };
        constant_time::verify_slices_are_equal(&computed, stored).is_ok()
    }

    /// The bcrypt cost that takes as long as this hash; 0 for a hash that takes almost no time.
    pub(crate) fn cost(&self) -> u32 {
        self.cost
    }

    /// Whether it is accepted only if the settings allow it.
    pub(crate) fn is_legacy(&self) -> bool {
        !matches!(self.kind, Kind::Bcrypt(_))
    }

    /// The kind, as its prefix names it: `bcrypt`, `$apr1$`, `{SHA}`, …
    pub(crate) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Bcrypt(_) => "bcrypt",
            Kind::Apr1 { .. } => "$apr1$",
            Kind::Sha1 { salt, .. } if salt.is_empty() => "{SHA}",
            Kind::Sha1 { .. } => "{SSHA}",
            Kind::ShaCrypt { variant: Variant::Sha256, .. } => "$5$",
            Kind::ShaCrypt { variant: Variant::Sha512, .. } => "$6$",
        }
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredHash")
            .field("kind", &self.name())
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// Takes as long as a bcrypt hash of this cost, by computing one and discarding it.
pub(super) fn burn(password: &[u8], cost: u32) {
    let wasted = bcrypt::hash_with_salt(password, cost, [0x5a; 16]);
    drop(std::hint::black_box(wasted));
}

/// SHA-256 of these parts. The lengths distinguish `a`, `bc` from `ab`, `c`.
pub(super) fn fingerprint_of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Fingerprint {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

fn fingerprint(text: &[u8]) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    bytes
}

fn parse_kind(text: &[u8]) -> Result<(Kind, u32), HashError> {
    if text.is_empty() {
        return Err(HashError::Empty);
    }
    if text.starts_with(b"$2x$") {
        return Err(HashError::TwoX);
    }
    if [b"$2y$", b"$2a$", b"$2b$"].iter().any(|prefix| text.starts_with(*prefix)) {
        return parse_bcrypt(text);
    }
    if let Some(rest) = text.strip_prefix(b"$apr1$") {
        return parse_apr1(rest).ok_or(HashError::Damaged("$apr1$"));
    }
    if let Some(rest) = text.strip_prefix(b"{SHA}") {
        return parse_sha1(rest, false).ok_or(HashError::Damaged("{SHA}"));
    }
    if let Some(rest) = text.strip_prefix(b"{SSHA}") {
        return parse_sha1(rest, true).ok_or(HashError::Damaged("{SSHA}"));
    }
    if let Some(rest) = text.strip_prefix(b"$5$") {
        return parse_sha_crypt(rest, Variant::Sha256, "$5$");
    }
    if let Some(rest) = text.strip_prefix(b"$6$") {
        return parse_sha_crypt(rest, Variant::Sha512, "$6$");
    }
    let is_des = text.len() == 13 && crypt64::holds_only_digits(text);
    Err(if is_des { HashError::Des } else { HashError::Unknown })
}

/// `$2y$10$` and 53 characters. The parser of the crate alone would accept "+9" and any cost.
fn parse_bcrypt(text: &[u8]) -> Result<(Kind, u32), HashError> {
    let damaged = HashError::Damaged("bcrypt");
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'$'] = text.get(4..7).unwrap_or_default() else {
        return Err(damaged);
    };
    let cost = u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
    if !(LOWEST_COST..=HIGHEST_COST).contains(&cost) {
        return Err(HashError::Cost(cost));
    }
    let text = std::str::from_utf8(text).map_err(|_| damaged.clone())?;
    text.parse::<bcrypt::HashParts>().map_err(|_| damaged)?;
    Ok((Kind::Bcrypt(text.into()), cost))
}

fn parse_apr1(rest: &[u8]) -> Option<(Kind, u32)> {
    let (salt, digest) = split_salt(rest)?;
    let whole =
        salt.len() <= apr1::SALT && digest.len() == apr1::DIGEST && crypt64::holds_only_digits(digest);
    whole.then(|| (Kind::Apr1 { salt: salt.into(), digest: digest.into() }, 0))
}

fn parse_sha1(rest: &[u8], salted: bool) -> Option<(Kind, u32)> {
    let bytes = STANDARD.decode(rest).ok()?;
    let (digest, salt) = bytes.split_at_checked(digest::SHA1_OUTPUT_LEN)?;
    (salt.is_empty() != salted).then(|| (Kind::Sha1 { salt: salt.into(), digest: digest.into() }, 0))
}

fn parse_sha_crypt(rest: &[u8], variant: Variant, name: &'static str) -> Result<(Kind, u32), HashError> {
    let damaged = HashError::Damaged(name);
    let (rounds, rest) = match rest.strip_prefix(b"rounds=") {
        None => (u64::from(Params::RECOMMENDED_ROUNDS), rest),
        Some(rest) => {
            let (number, rest) = split_salt(rest).ok_or(damaged.clone())?;
            (decimal(number).ok_or(damaged.clone())?, rest)
        }
    };
    let accepted = u32::try_from(rounds).ok().filter(|rounds| *rounds <= HIGHEST_ROUNDS);
    let params = accepted.and_then(|rounds| Params::new(rounds).ok()).ok_or(HashError::Rounds(rounds))?;
    let cost = accepted.map_or(0, |rounds| (rounds / ROUNDS_PER_UNIT).max(1).ilog2());

    let (salt, digest) = split_salt(rest).ok_or(damaged.clone())?;
    let whole = salt.len() <= sha2::SALT
        && digest.len() == variant.digest_length()
        && crypt64::holds_only_digits(digest);
    if !whole {
        return Err(damaged);
    }
    let kind = Kind::ShaCrypt { variant, rounds: params, salt: salt.into(), digest: digest.into() };
    Ok((kind, if cost < LOWEST_COST { 0 } else { cost }))
}

/// The parts before and after the next dollar sign.
fn split_salt(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dollar = text.iter().position(|byte| *byte == b'$')?;
    Some((&text[..dollar], &text[dollar + 1..]))
}

/// A number as crypt(3) prints it: 1 to 18 digits without a leading zero.
fn decimal(text: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&text.len()) && text[0] != b'0' && text.iter().all(u8::is_ascii_digit);
    plain.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
