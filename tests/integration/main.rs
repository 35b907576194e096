//! Tests of tidegate as its users meet it: the built program, real TLS, real clients, and fake
//! registries named by their behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics when its setup fails")]
#![allow(clippy::print_stderr, reason = "tests print what they see, for when they fail")]
#![allow(unreachable_pub, reason = "a test binary has no public face")]

mod harness;

mod access;
mod access_log;
mod acme;
mod acme_of_today;
mod admin;
mod architecture;
mod audit_log;
mod auth_service;
mod catalog;
mod certificates;
mod chains;
mod checks;
mod churn;
mod client_certificates;
mod clients;
mod commands;
mod connecting;
mod container;
mod cors;
mod crowds;
mod descriptors;
mod docker;
mod documents;
mod drain;
mod events;
mod faults;
mod field_names;
mod forwarding;
mod handover;
mod hoarders;
mod hostile;
mod http2_bodies;
mod http2_floods;
mod immutable_tags;
mod init;
mod kills;
mod limits;
mod location;
mod metrics;
mod mistakes;
mod one_reading;
mod own_tokens;
mod passwords;
mod plain;
mod plaintext;
mod policy;
mod prometheus;
mod proxy_protocol;
mod recipe;
mod records;
mod reload;
mod renewal;
mod routes;
mod scanners;
mod scripts;
mod servers;
mod shared;
mod spellings;
mod stapling;
mod status_page;
mod streaming;
mod stubborn_registries;
mod systemd;
mod throttle;
mod tickets;
mod time_limits;
mod token_clients;
mod tokens;
mod top;
mod traces;
mod two_readers;
mod unread_logs;
mod uploads_elsewhere;
mod upstream_reload;
mod upstream_words;
mod upstreams;
mod vanished;
mod what_users_see;
mod worker_failure;
