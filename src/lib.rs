//! tidegate, the front door of a container registry.
//!
//! The modules stand in dependency order: each imports only from those above it, and
//! `tests/integration/architecture.rs` holds them to it.

// 0 values
mod allocator;
mod metrics;
mod network;
mod turns;

mod places;

mod body;
mod cache;
mod crypto;
mod dial;
mod problem;
mod secret;
mod user;

mod disk;
// 1 formats
mod header;
mod ldap;
mod registry;
// 2 settings
mod config;
mod live_file;
// 3 parts
mod pki;

mod engine;

mod access;
mod agent;
mod https;
mod log;

mod auth;
mod tls;

mod acme;
mod token;
mod upstream;

mod routes;
// 4 state
mod state;
// 5 request
mod gate;
// 6 connections
mod server;
// 7 process
mod agreement;
mod ping;
mod process;
mod reload;
mod sockets;
mod systemd;

mod handover;

mod caretaker;
mod upstream_check;

mod app;
// 8 commands
mod cli;

// 9 fuzzing
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;

pub use allocator::Allocator;
pub use cli::run;

/// The functions that `benches/hot_paths.rs` measures. Not a stable interface.
#[doc(hidden)]
pub mod bench {
    pub use crate::access::{Caller, Identity, Rules, decide};
    pub use crate::auth::{Htpasswd, Verdict, Verifier};
    pub use crate::config::Config;
    pub use crate::crypto::{CONTENT, OVERHEAD, RecordKey};
    pub use crate::header::{forwarded, hop};
    pub use crate::registry::rights::Rights;
    pub use crate::registry::scope::Scope;
    pub use crate::registry::target::{self, Operation};
    pub use crate::secret::Secret;
    pub use crate::server::proxy_header;
    pub use crate::token::Tokens;
    pub use crate::user::User;
}
