//! What `fuzz/` runs. Each function takes any bytes as one kind of input, and panics where a
//! promise about that input is broken.
//!
//! The module is part of a build for fuzzing, and of the unit tests: they replay the inputs of
//! `fuzz/corpus`.

#![expect(clippy::expect_used, reason = "a broken promise is a panic")]

mod challenges;
mod credentials;
mod forwarded_fields;
mod htpasswd;
mod locations;
mod pieces;
mod repository_patterns;
mod request_targets;
mod settings;
mod token_requests;
mod upload_places;

pub use challenges::challenges;
pub use credentials::credentials;
pub use forwarded_fields::forwarded_fields;
pub use htpasswd::htpasswd;
pub use locations::locations;
pub use repository_patterns::repository_patterns;
pub use request_targets::request_targets;
pub use settings::settings;
pub use token_requests::token_requests;
pub use upload_places::upload_places;

#[cfg(test)]
mod tests;
