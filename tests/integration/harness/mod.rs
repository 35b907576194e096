//! The tools of the tests. Every wait is for an event and has a deadline, every listener is on a
//! free port, and nothing outlives the test binary.

pub mod admin;
pub mod authority;
pub mod browser;
pub mod child;
pub mod client_ca;
pub mod directory;
pub mod door;
pub mod engine;
pub mod fake;
pub mod frames;
pub mod haproxy;
pub mod http1;
pub mod http2;
pub mod image;
pub mod library;
pub mod lines;
pub mod manager;
pub mod namespaces;
pub mod openssl;
pub mod pebble;
pub mod pki;
pub mod prometheus;
pub mod recorder;
pub mod redis;
pub mod registry;
pub mod service;
pub mod signer;
pub mod slapd;
pub mod strict;
pub mod tidegate;
pub mod tls;
pub mod token_issuer;
pub mod tools;
pub mod two_machines;
pub mod workstation;
pub mod zone;

use std::time::Duration;

/// The time limit for any single event: far longer than needed, so that a busy machine fails no
/// test.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The user of most tests, and the header with the password.
pub const USER: &str = "testuser";
pub const PASSWORD: &str = "testpass";
pub const BASIC: &str = "Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// The `Basic` credentials of any user.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
