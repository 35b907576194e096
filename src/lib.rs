//! tidegate, the front door of a container registry.
//!
//! The modules stand in dependency order: each imports only from those above it, and
//! `tests/integration/architecture.rs` holds them to it.

// 0 values
pub mod body;
pub mod network;
pub mod secret;

pub mod disk;
// 1 formats
pub mod header;
pub mod registry;
// 2 settings
pub mod config;
pub mod live_file;
// 3 parts
pub mod access;
pub mod agent;
pub mod auth;
pub mod log;
pub mod tls;
pub mod upstream;
// 4 state
pub mod state;
// 5 request
pub mod gate;
// 6 connections
pub mod server;
// 7 process
pub mod reload;

pub mod app;
// 8 commands
pub mod cli;
