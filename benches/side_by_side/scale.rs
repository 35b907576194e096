//! The amount of work in each workload.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

pub struct Scale {
    /// The name in results.json.
    pub name: &'static str,
    /// How often each workload runs with each peer, if the budget allows. The median counts.
    pub rounds: usize,
    /// No run starts after this time.
    pub budget: Duration,
    /// A peer that does not serve by then has failed.
    pub start: Duration,
    /// A peer that took longer for a workload does not repeat it.
    pub patience: Duration,
    /// Bytes of a blob that is pulled or pushed alone.
    pub blob: u64,
    /// Bytes of the long pull, which shows whether size matters.
    pub long_blob: u64,
    /// Bytes of each of eight blobs.
    pub several_blob: u64,
    /// Bytes of each blob in the crowd of pushes and pulls.
    pub crowd_blob: u64,
    /// The number of pushes in the crowd, and of pulls.
    pub crowd: usize,
    /// Bytes of a blob in the real registry.
    pub registry_blob: u64,
    /// Bytes of each layer of an image.
    pub layer: u64,
    /// How many images are transferred, one after the other.
    pub images: usize,
    /// The duration of workloads that count requests per second.
    pub time: Duration,
    /// Connections that ask for manifests.
    pub connections: usize,
    /// Clients that guess passwords.
    pub strangers: usize,
    /// Idle connections.
    pub idle: usize,
    /// The upper limit of users in an htpasswd file.
    pub users: usize,
}

pub const FULL: Scale = Scale {
    name: "full",
    rounds: 5,
    budget: Duration::from_secs(90 * 60),
    start: Duration::from_secs(15),
    patience: Duration::from_secs(10),
    blob: 1024 * MIB,
    long_blob: 20 * 1024 * MIB,
    several_blob: 256 * MIB,
    crowd_blob: 16 * MIB,
    crowd: 64,
    registry_blob: 256 * MIB,
    layer: 4 * MIB,
    images: 24,
    time: Duration::from_millis(1500),
    connections: 32,
    strangers: 16,
    idle: 2000,
    users: 100_000,
};

pub const QUICK: Scale = Scale {
    name: "quick",
    rounds: 5,
    budget: Duration::from_secs(15 * 60),
    start: Duration::from_secs(6),
    patience: Duration::from_secs(4),
    blob: 128 * MIB,
    long_blob: 1024 * MIB,
    several_blob: 64 * MIB,
    crowd_blob: 2 * MIB,
    crowd: 64,
    registry_blob: 64 * MIB,
    layer: 4 * MIB,
    images: 4,
    time: Duration::from_millis(250),
    connections: 32,
    strangers: 16,
    idle: 500,
    users: 100_000,
};

/// Measures nothing; only checks that every workload works with every peer.
pub const SMOKE: Scale = Scale {
    name: "smoke",
    rounds: 1,
    budget: Duration::from_secs(600),
    start: Duration::from_secs(15),
    patience: Duration::from_secs(15),
    blob: MIB + 1,
    long_blob: 2 * MIB,
    several_blob: MIB / 4,
    crowd_blob: MIB / 4,
    crowd: 4,
    registry_blob: MIB + 1,
    layer: MIB / 16,
    images: 1,
    time: Duration::from_millis(50),
    connections: 4,
    strangers: 2,
    idle: 20,
    users: 1000,
};
