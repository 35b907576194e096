//! Replicas that share their state in a Redis.

mod acme;
mod revocations;
mod standing;
mod throttle;
