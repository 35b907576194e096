//! Several values in one input: one a line.

use http::HeaderValue;

/// The first `N` lines of an input, of which the last has everything that follows. Lines that are
/// not there are empty.
pub(super) fn lines<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut lines = bytes.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// The same as text. `None` where a line is not UTF-8.
pub(super) fn texts<const N: usize>(bytes: &[u8]) -> Option<[&str; N]> {
    let mut texts = [""; N];
    for (text, line) in texts.iter_mut().zip(lines::<N>(bytes)) {
        *text = str::from_utf8(line).ok()?;
    }
    Some(texts)
}

/// The value of a field. `None` for bytes that no HTTP library accepts.
pub(super) fn field(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes.trim_ascii()).ok()
}
