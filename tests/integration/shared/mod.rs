//! Replicas that share their state in a Redis.

mod standing;
