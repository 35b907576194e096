//! What monitors tidegate: /metrics as its readers see it, and the files in `deploy/` with Debian's
//! Prometheus and its promtool.

mod alerts;
mod dashboard;
pub mod exposition;
mod formats;
mod manual;
mod rules;
mod series;
mod watched;
