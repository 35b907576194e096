//! The part of BER that LDAP uses (RFC 4511, section 5.1): tags of one byte, definite lengths.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Bytes of a length behind its first byte. Four are more than any message may have.
const LONGEST_LENGTH: usize = 4;

/// What a server has sent is not LDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it sends is not LDAP")]
pub(crate) struct Malformed;

/// An element with this content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    if length < 0x80 {
        bytes.push(low_byte(length));
    } else {
        let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        bytes.push(0x80 | low_byte(digits.len()));
        bytes.extend(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// An element that holds others.
pub(super) fn constructed(tag: u8, elements: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    element(tag, &elements.into_iter().flatten().collect::<Vec<u8>>())
}

/// A number that is not negative.
pub(super) fn number(tag: u8, number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let from = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let digits = &bytes[from..];
    // The highest bit is that of the sign.
    let sign: &[u8] = if digits.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    element(tag, &[sign, digits].concat())
}

/// How many bytes the first element of `bytes` has. `None` if its length is not there yet.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    Ok(header(bytes)?.map(|(_, header, content)| header + content))
}

/// Reads one element after another.
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The tag and the content of the next element, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (tag, header, length) = header(self.0)?.ok_or(Malformed)?;
        let rest = self.0.get(header..).ok_or(Malformed)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Some((tag, content)))
    }

    /// The content of the next element, which has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        self.next()?.filter(|(found, _)| *found == tag).map(|(_, content)| content).ok_or(Malformed)
    }

    /// The number in the next element, which has this tag and is not negative.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        let digits = self.take(tag)?;
        if digits.is_empty() || digits.len() > 5 || digits[0] & 0x80 != 0 {
            return Err(Malformed);
        }
        let number = digits.iter().fold(0u64, |number, digit| number << 8 | u64::from(*digit));
        u32::try_from(number).map_err(|_| Malformed)
    }

    /// The text in the next element. What is not UTF-8 is replaced.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        Ok(String::from_utf8_lossy(self.take(OCTETS)?).into_owned())
    }
}

/// The tag of the first element, the bytes of its header and those of its content.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let (Some(tag), Some(first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    if *first < 0x80 {
        return Ok(Some((*tag, 2, usize::from(*first))));
    }
    let digits = usize::from(first & 0x7f);
    if digits == 0 || digits > LONGEST_LENGTH {
        return Err(Malformed);
    }
    let Some(digits) = bytes.get(2..2 + digits) else { return Ok(None) };
    let length = digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit));
    Ok(Some((*tag, 2 + digits.len(), length)))
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_and_numbers_are_written_as_in_the_standard() {
        assert_eq!(element(OCTETS, b"ab"), [4, 2, b'a', b'b']);
        assert_eq!(element(OCTETS, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(OCTETS, &[0; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
        for (value, written) in
            [(0, &[2, 1, 0][..]), (127, &[2, 1, 127]), (128, &[2, 2, 0, 128]), (65536, &[2, 3, 1, 0, 0])]
        {
            assert_eq!(number(INTEGER, value), written);
        }
    }

    #[test]
    fn what_is_not_ber_of_ldap_is_refused() {
        for bytes in [&[0x1f, 1, 0][..], &[4, 0x80], &[4, 0x85, 0, 0, 0, 0, 1], &[4, 2, 0], &[4]] {
            assert_eq!(Elements(bytes).next(), Err(Malformed), "{bytes:?}");
        }
        for bytes in
            [&[2, 0][..], &[2, 1, 0x80], &[2, 5, 1, 0, 0, 0, 0], &[2, 6, 0, 0, 0, 0, 0, 1], &[4, 1, 0]]
        {
            assert_eq!(Elements(bytes).number(INTEGER), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0u8..0x1f, content in prop::collection::vec(any::<u8>(), 0..300), value in any::<u32>()) {
            let bytes = element(tag, &content);
            prop_assert_eq!(whole(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(Elements(&bytes).next(), Ok(Some((tag, &content[..]))));
            prop_assert_eq!(Elements(&number(INTEGER, value)).number(INTEGER), Ok(value));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            _ = (whole(&bytes), Elements(&bytes).number(INTEGER), Elements(&bytes).text());
        }
    }
}
