//! The base 64 of crypt(3): its own alphabet, least significant bits first, no padding.

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Appends at most three `bytes`, most significant first, in as few characters as possible.
pub(super) fn push(text: &mut Vec<u8>, bytes: &[u8]) {
    let mut bits = bytes.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    for _ in 0..(bytes.len() * 8).div_ceil(6) {
        text.push(ALPHABET[(bits & 63) as usize]);
        bits >>= 6;
    }
}

/// Whether every byte is one of the 64 characters.
pub(super) fn holds_only_digits(text: &[u8]) -> bool {
    text.iter().all(|byte| ALPHABET.contains(byte))
}
