//! Serial numbers, by which a CA identifies its certificates (RFC 5280 section 4.1.2.2).

use std::fmt;
use std::str::FromStr;

use crate::pki::Facts;

/// A serial number, printed as openssl prints it: `3FA96C…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serial(
    /// Big-endian, without leading zeros.
    Vec<u8>,
);

/// The text is not a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a serial number of at most 40 hexadecimal digits, such as 3FA96C or 3f:a9:6c")]
pub(crate) struct BadSerial;

impl Serial {
    pub(super) fn of(certificate: &Facts) -> Self {
        Self(certificate.serial.clone())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Serial {
    type Err = BadSerial;

    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|char| *char != ':')
            .map(|char| char.to_digit(16).ok_or(BadSerial))
            .skip_while(|digit| *digit == Ok(0))
            .collect::<Result<_, _>>()?;
        // Of an odd number of digits, the first is a byte alone.
        let (first, rest) = digits.split_at(digits.len() % 2);
        let bytes: Vec<u8> = first
            .chunks(1)
            .chain(rest.chunks(2))
            .map(|byte| byte.iter().fold(0, |sum, digit| sum << 4 | digit))
            .filter_map(|byte| u8::try_from(byte).ok())
            .collect();
        if (1..=20).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSerial) }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_in_every_form_that_tools_print() {
        for (text, expected) in [
            ("3FA96C", "3FA96C"),
            ("3f:a9:6c", "3FA96C"),
            ("00:8a:01", "8A01"),
            ("1", "01"),
            ("0100", "0100"),
            (&"f".repeat(40), &"F".repeat(40)),
        ] {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.to_string(), expected, "{text}");
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
        for text in ["", "0", "00:00", "0x10", "serial=10", "-1", "1 2", &"f".repeat(41)] {
            assert_eq!(text.parse::<Serial>(), Err(BadSerial), "{text}");
        }
    }
}
