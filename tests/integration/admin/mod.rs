//! The admin listener: who sees what, health and readiness.

mod access;
mod health;
mod listener;
mod readiness;
