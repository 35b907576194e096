//! Replicas that share their state in a Redis.

mod revocations;
mod standing;
mod throttle;
