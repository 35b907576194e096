//! The check of one password, and its cost.

use super::super::hash::{StoredHash, burn};

/// The result of a check.
pub(super) struct Checked {
    pub(super) right: bool,
    /// In units of bcrypt: a hash of cost c counts 2^c.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests count it"))]
    pub(super) work: u64,
}

/// Compares a password with a stored hash; `None` for an unknown user. Every failure costs
/// 2^`highest` units, the work of the slowest hash in the file:
///
/// - for an unknown user, one hash of cost `highest` is computed;
/// - after a hash of a lower cost c, hashes of cost c, c+1, … `highest`-1 follow, which add up to
///   2^`highest` exactly;
/// - after a hash that takes almost no time, one of cost `highest` follows.
pub(super) fn check(stored: Option<&StoredHash>, highest: u32, password: &[u8]) -> Checked {
    let (right, cost) = stored.map_or((false, 0), |stored| (stored.matches(password), stored.cost()));
    let spent = if cost == 0 { 0 } else { 1 << cost };
    if right {
        return Checked { right, work: spent };
    }
    let rest = if cost == 0 { highest..highest + 1 } else { cost..highest };
    let work = rest.fold(spent, |work, cost| {
        burn(password, cost);
        work + (1 << cost)
    });
    Checked { right, work }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA_CRYPT: &str = "$5$rounds=5000$pYSl3.A1bvpbwiGh$3lqp2MXS9X/lbmPgDDJ7XnHChQ9yE2TwaWzCZu.UNoD";
    const SHA: &str = "{SHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0=";

    fn stored(text: &str) -> StoredHash {
        StoredHash::parse(text.as_bytes(), true).unwrap()
    }

    #[test]
    fn every_failure_costs_what_the_slowest_hash_costs() {
        let bcrypt = |cost| stored(&StoredHash::make(b"right", cost).unwrap());
        let failures = [
            None,
            Some(bcrypt(4)),
            Some(bcrypt(5)),
            Some(bcrypt(6)),
            Some(stored(SHA)),
            Some(stored(SHA_CRYPT)),
        ];
        for failure in failures {
            let checked = check(failure.as_ref(), 6, b"wrong");
            assert!(!checked.right);
            assert_eq!(checked.work, 1 << 6, "{failure:?}");
        }
    }

    #[test]
    fn a_right_password_costs_its_own_hash_only() {
        let checked = check(Some(&stored(&StoredHash::make(b"right", 4).unwrap())), 9, b"right");
        assert!(checked.right);
        assert_eq!(checked.work, 1 << 4);
    }
}
