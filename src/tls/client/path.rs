//! The order in which the certificates of a client are tried: one straight line of issuers.

use crate::pki::Facts;

/// Returns the positions in `sent` of the issuers of `leaf`, the nearest first.
///
/// webpki tries all certificates of one name, in every order, and strangers choose what they send.
/// Here each name has one candidate and occurs once, so webpki has one path to try. The candidate
/// of several certificates is one with the key that the certificate below asks for. Without such a
/// key, it is one whose own issuer is among `anchors`, or else the first.
pub(super) fn straight(leaf: &Facts, sent: &[Facts], anchors: &[Facts]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut below = leaf;
    loop {
        let is_new = |subject: &[u8]| path.iter().all(|&known| sent[known].subject != subject);
        let is_next = |facts: &Facts| facts.subject == below.issuer && is_new(&facts.subject);
        let rank = |facts: &Facts| {
            let is_rooted = anchors.iter().any(|anchor| anchor.subject == facts.issuer);
            (key_fits(below, facts), is_rooted)
        };
        let candidates = sent.iter().enumerate().filter(|(_, facts)| is_next(facts));
        // The last of equals is taken.
        let Some((next, facts)) = candidates.rev().max_by_key(|(_, facts)| rank(facts)) else { return path };
        path.push(next);
        below = facts;
    }
}

/// 2 if the key identifiers are equal, 0 if they differ, 1 if a certificate has none.
fn key_fits(below: &Facts, issuer: &Facts) -> u8 {
    match (&below.issuer_key_id, &issuer.key_id) {
        (Some(wanted), Some(own)) if wanted == own => 2,
        (Some(_), Some(_)) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::fixtures::{Signer, params};

    fn facts(certificate: &rcgen::Certificate) -> Facts {
        Facts::read(certificate.der()).unwrap()
    }

    fn leaf(ca: &Signer) -> Facts {
        facts(&ca.sign(&params(&["build.example.com"]), &rcgen::KeyPair::generate().unwrap()))
    }

    #[test]
    fn six_intermediates_in_any_order_are_one_line() {
        let mut cas = vec![Signer::new("root")];
        for depth in 0..6 {
            cas.push(cas[depth].intermediate(&format!("depth {depth}")));
        }
        let sent: Vec<_> = cas[1..].iter().map(|ca| facts(&ca.certificate)).collect();
        let root = [facts(&cas[0].certificate)];
        assert_eq!(straight(&leaf(&cas[6]), &sent, &root), [5, 4, 3, 2, 1, 0]);
        assert_eq!(straight(&leaf(&cas[3]), &sent, &root), [2, 1, 0], "others are left out");
        assert!(straight(&leaf(&cas[0]), &sent, &root).is_empty());
    }

    #[test]
    fn a_maze_of_one_name_has_one_candidate() {
        let mazes: Vec<_> = (0..7).map(|_| Signer::new("maze")).collect();
        let sent: Vec<_> = mazes.iter().map(|maze| facts(&maze.certificate)).collect();
        assert_eq!(straight(&leaf(&mazes[0]), &sent, &[]).len(), 1);
    }

    #[test]
    fn names_in_a_circle_end_where_they_began() {
        let (first, second) = (Signer::new("first"), Signer::new("second"));
        let sent = [
            facts(&second.intermediate("first").certificate),
            facts(&first.intermediate("second").certificate),
        ];
        assert_eq!(straight(&leaf(&first), &sent, &[]), [0, 1]);
    }

    #[test]
    fn the_key_that_the_certificate_asks_for_comes_first_then_the_way_to_a_known_ca() {
        let (root, other) = (Signer::new("root"), Signer::new("other"));
        let (old, new) = (root.intermediate("between"), root.intermediate("between"));
        let anchors = [facts(&root.certificate)];
        let mut below = leaf(&new);
        below.issuer_key_id = facts(&new.certificate).key_id;
        let sent = [facts(&old.certificate), facts(&new.certificate)];
        assert_eq!(straight(&below, &sent, &anchors), [1], "a CA with a new key");

        let key = rcgen::KeyPair::generate().unwrap();
        let params = crate::pki::fixtures::ca_params("between");
        let cross = [facts(&other.sign(&params, &key)), facts(&root.sign(&params, &key))];
        below.issuer_key_id = cross[0].key_id.clone();
        assert_eq!(straight(&below, &cross, &anchors), [1], "signed by two CAs");
    }
}
