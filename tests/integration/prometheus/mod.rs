//! What monitors tidegate: the files in `deploy/`, with Debian's Prometheus and its promtool.

mod rules;
