//! The admin listener: who sees what, health and readiness, metrics and the status.

mod access;
mod command;
mod events;
mod health;
mod listener;
mod metrics;
mod readiness;
