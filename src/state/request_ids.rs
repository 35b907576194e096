//! Ids of requests.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

/// Bytes of the largest id: the prefix, a dash and a number of 64 bits.
const LONGEST: usize = 8 + 1 + 16;

/// Gives out ids that no other request has: none of this process, and hardly one of another.
pub(crate) struct RequestIds {
    /// Drawn by this process. Beside it the logs of replicas, and those from before and after a
    /// restart, can be searched together.
    prefix: String,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        let mut bytes = [0; 4];
        // An error is ignored: without random numbers TLS would fail anyway.
        _ = rand::fill(&mut bytes);
        Self { prefix: HEXLOWER.encode(&bytes) + "-", next: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// The next one: 8 hexadecimal digits, a dash, and the number of the request in hexadecimal.
    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(LONGEST);
        id.push_str(&self.prefix);
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        id.extend(
            (0..digits).rev().filter_map(|place| char::from_digit((number >> (4 * place) & 15) as u32, 16)),
        );
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_prefix_and_the_number() {
        let ids = RequestIds { prefix: "0123abcd-".to_owned(), next: AtomicU64::new(0) };
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 0xffff, 0x1_0000, u64::MAX] {
            ids.next.store(number, Ordering::Relaxed);
            assert_eq!(ids.next(), format!("0123abcd-{number:x}"));
        }
        assert_eq!(ids.next(), "0123abcd-0");
    }

    #[test]
    fn another_process_has_other_ids() {
        let (first, second) = (RequestIds::default(), RequestIds::default());
        assert_ne!(first.next(), second.next());
        assert_eq!(first.prefix.len(), "0123abcd-".len());
    }
}
