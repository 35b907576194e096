//! What the tests stand on. Every wait is for an event and ends at a deadline; every listener is on a
//! port of the kernel's choice; nothing outlives the test binary.

pub mod authority;
pub mod child;
pub mod client_ca;
pub mod door;
pub mod engine;
pub mod fake;
pub mod frames;
pub mod http1;
pub mod http2;
pub mod image;
pub mod library;
pub mod lines;
pub mod openssl;
pub mod pebble;
pub mod pki;
pub mod recorder;
pub mod registry;
pub mod signer;
pub mod strict;
pub mod tidegate;
pub mod tls;
pub mod tools;

use std::time::Duration;

/// How long any single event may take before the test gives up: far more than it needs, so that a busy
/// machine fails nothing.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The user every test knows, and the header that proves it.
pub const USER: &str = "testuser";
pub const PASSWORD: &str = "testpass";
pub const BASIC: &str = "Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// `Basic` credentials of any user.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}
