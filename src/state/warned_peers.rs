//! A warning for each peer that causes it, and not for each of its connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::network::Network;

/// The time between two warnings about one network.
const PAUSE: Duration = Duration::from_secs(60);
/// Networks of which the log warns within that time. A flood from many does not fill the disk.
const MOST: usize = 256;

/// The networks of which the log has warned within the last minute.
#[derive(Debug, Default)]
pub(crate) struct WarnedPeers(Mutex<HashMap<Network, Instant>>);

impl WarnedPeers {
    /// Whether to warn of `peer` now. If so, the next warning is due in a minute.
    pub(crate) fn is_due(&self, peer: IpAddr) -> bool {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (network, now) = (Network::of(peer), Instant::now());
        let is_past = |at: &Instant| now.duration_since(*at) >= PAUSE;
        if warned.get(&network).is_some_and(|at| !is_past(at)) {
            return false;
        }
        if warned.len() >= MOST {
            warned.retain(|_, at| !is_past(at));
        }
        let has_room = warned.len() < MOST;
        if has_room {
            warned.insert(network, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_warned_of_once_a_minute() {
        let (warned, one, other) = (WarnedPeers::default(), [192, 0, 2, 1], [192, 0, 2, 2]);
        assert!(warned.is_due(one.into()) && !warned.is_due(one.into()) && warned.is_due(other.into()));
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert!(!warned.is_due(one.into()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(warned.is_due(one.into()) && !warned.is_due(one.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_gets_few_lines_and_little_memory() {
        let warned = WarnedPeers::default();
        let flood = || (0..1000).filter(|&peer| warned.is_due(Ipv4Addr::from_bits(peer).into())).count();
        assert_eq!(flood(), MOST);
        assert_eq!(flood(), 0);
        tokio::time::advance(PAUSE).await;
        assert_eq!(flood(), MOST);
        assert_eq!(warned.0.lock().unwrap().len(), MOST);
    }
}
