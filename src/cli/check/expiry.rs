//! Certificates that end soon.

use std::time::Duration;

use time::OffsetDateTime;

use crate::pki::{Facts, ServedCertificate, date, span};

/// A line for each certificate of `served`, or issuer beside it, that ends within this time.
pub(super) fn soon(served: &[ServedCertificate], within: Duration) -> Vec<String> {
    let now = OffsetDateTime::now_utc();
    let mut lines: Vec<String> = Vec::new();
    for certificate in served {
        let names = certificate.facts.listed_names();
        let issuers = certificate.certified.cert.iter().skip(1).filter_map(Facts::read);
        let issuers = issuers.map(|facts| (format!("issuer certificate {} for {names}", facts.label), facts));
        let own = (format!("certificate for {names}"), certificate.facts.clone());
        for (what, facts) in [own].into_iter().chain(issuers) {
            let left = facts.not_after - now;
            if left <= within {
                let when = if left.is_negative() {
                    format!("has expired, {} ago", span(-left))
                } else {
                    format!("expires in {}", span(left))
                };
                lines.push(format!("{what} until {}: {when}; renew it", date(facts.not_after)));
            }
        }
    }
    lines.dedup();
    lines
}
