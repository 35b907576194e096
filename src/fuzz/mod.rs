//! What `fuzz/` runs. Each function takes any bytes as one kind of input, and panics where a
//! promise about that input is broken.
//!
//! The module is part of a build for fuzzing, and of the unit tests: they replay the inputs of
//! `fuzz/corpus`.

#![expect(clippy::expect_used, reason = "a broken promise is a panic")]

mod answers;
mod certificate_files;
mod challenges;
mod client_chains;
mod client_records;
mod credentials;
mod door;
mod forwarded_fields;
mod htpasswd;
mod id_tokens;
mod ldap_filters;
mod ldap_messages;
mod locations;
mod pieces;
mod proxy_headers;
mod recording_registry;
mod repository_patterns;
mod request_heads;
mod request_targets;
mod revocation_lists;
mod settings;
mod staples;
mod strict_http;
mod token_requests;
mod tokens;
mod upload_places;
mod whole_gate;

/// What takes an input.
pub type Target = fn(&[u8]);

/// The functions by their names, which are those of the folders of `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 23] = [
    ("answers", answers::answers),
    ("certificate_files", certificate_files::certificate_files),
    ("challenges", challenges::challenges),
    ("client_chains", client_chains::client_chains),
    ("client_records", client_records::client_records),
    ("credentials", credentials::credentials),
    ("forwarded_fields", forwarded_fields::forwarded_fields),
    ("htpasswd", htpasswd::htpasswd),
    ("id_tokens", id_tokens::id_tokens),
    ("ldap_filters", ldap_filters::ldap_filters),
    ("ldap_messages", ldap_messages::ldap_messages),
    ("locations", locations::locations),
    ("proxy_headers", proxy_headers::proxy_headers),
    ("repository_patterns", repository_patterns::repository_patterns),
    ("request_heads", request_heads::request_heads),
    ("request_targets", request_targets::request_targets),
    ("revocation_lists", revocation_lists::revocation_lists),
    ("settings", settings::settings),
    ("staples", staples::staples),
    ("token_requests", token_requests::token_requests),
    ("tokens", tokens::tokens),
    ("upload_places", upload_places::upload_places),
    ("whole_gate", whole_gate::whole_gate),
];

#[cfg(test)]
mod tests;
