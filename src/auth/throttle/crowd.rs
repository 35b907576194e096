//! The failures of a network, whoever the users are.
//!
//! Many people may share one address, and one of them may be an attacker. A network with many
//! failures is therefore not refused. Its right passwords are accepted as before. Its wrong ones
//! are answered late, one after another: clients that wait for an answer ask less often.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::network::Network;

/// A network may have this many times the failures that one of its users may have.
const USERS: usize = 10;
/// The longest that an answer is delayed: docker gives up after 15 s.
const LONGEST: Duration = Duration::from_secs(10);
/// The most networks that are kept at once.
const MOST: usize = 65_536;

/// The failures of all networks.
#[derive(Default)]
pub(super) struct Crowds(HashMap<Network, Crowd>);

/// The failures of one network since the first one.
struct Crowd {
    since: Instant,
    failures: usize,
    /// When the latest of the delayed answers is sent.
    sent: Instant,
}

impl Crowd {
    fn is_current(&self, settings: &config::Throttle, now: Instant) -> bool {
        now < self.sent.max(self.since + settings.window)
    }
}

impl Crowds {
    /// Counts a failure. If too many networks have failures, those of another are not counted.
    pub(super) fn count(&mut self, network: Network, settings: &config::Throttle, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&network) {
            self.0.retain(|_, crowd| crowd.is_current(settings, now));
            if self.0.len() >= MOST {
                return;
            }
        }
        let fresh = Crowd { since: now, failures: 0, sent: now };
        let crowd = self.0.entry(network).or_insert_with(|| fresh);
        if !crowd.is_current(settings, now) {
            *crowd = Crowd { since: now, failures: 0, sent: now };
        }
        crowd.failures += 1;
    }

    /// How many failures the network had lately.
    pub(super) fn failures(&self, network: Network, settings: &config::Throttle, now: Instant) -> usize {
        let crowd = self.0.get(&network).filter(|crowd| crowd.is_current(settings, now));
        crowd.map_or(0, |crowd| crowd.failures)
    }

    /// How long the answer to a wrong password has to wait; `None` while the network has not had
    /// too many. The answers leave at the rate at which failures may happen.
    pub(super) fn delay(
        &mut self,
        network: Network,
        settings: &config::Throttle,
        now: Instant,
    ) -> Option<Duration> {
        let most = settings.failures * USERS;
        let crowd = self.0.get_mut(&network).filter(|crowd| crowd.is_current(settings, now))?;
        if most == 0 || crowd.failures <= most {
            return None;
        }
        let apart = settings.window / u32::try_from(most).unwrap_or(u32::MAX);
        crowd.sent = (crowd.sent.max(now) + apart).min(now + LONGEST);
        Some(crowd.sent.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Twenty failures of a network in a minute, so one answer in 3 s.
    const SETTINGS: config::Throttle =
        config::Throttle { failures: 2, window: Duration::from_secs(60), delay: Duration::from_secs(20) };

    fn network(host: u8) -> Network {
        Network::of([192, 0, 2, host].into())
    }

    fn fail(crowds: &mut Crowds, host: u8, now: Instant) -> Option<Duration> {
        crowds.count(network(host), &SETTINGS, now);
        crowds.delay(network(host), &SETTINGS, now)
    }

    #[test]
    fn failures_beyond_the_bound_of_a_network_are_answered_at_the_rate_of_the_bound() {
        let (mut crowds, start) = (Crowds::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(fail(&mut crowds, 1, start), None);
        }
        for seconds in [3, 6, 9, 10, 10] {
            assert_eq!(fail(&mut crowds, 1, start), Some(SECOND * seconds));
        }
        assert_eq!(fail(&mut crowds, 1, start + SECOND * 5), Some(SECOND * 8));
        assert_eq!(fail(&mut crowds, 2, start), None, "another network");
    }

    #[test]
    fn a_network_is_forgiven_after_the_window() {
        let (mut crowds, start) = (Crowds::default(), Instant::now());
        for _ in 0..21 {
            fail(&mut crowds, 1, start);
        }
        assert_eq!(fail(&mut crowds, 1, start + SECOND * 59), Some(SECOND * 3));
        assert_eq!(fail(&mut crowds, 1, start + SECOND * 61), Some(SECOND * 4), "it goes on");
        assert_eq!(fail(&mut crowds, 1, start + SECOND * 65), None);
    }

    #[test]
    fn without_a_limit_nothing_is_delayed() {
        let (mut crowds, now) = (Crowds::default(), Instant::now());
        let settings = config::Throttle { failures: 0, ..SETTINGS };
        for _ in 0..1000 {
            crowds.count(network(1), &settings, now);
            assert_eq!(crowds.delay(network(1), &settings, now), None);
        }
    }
}
