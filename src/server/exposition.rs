//! The metrics as they are exposed: names, help texts and labels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::slots::Slots;
use crate::acme;
use crate::engine::Engine;
use crate::metrics::{
    Action, Asked, Count, Direction, Grant, HandshakeFault, Label, Login, LoginResult, Metrics, Observed,
    OfOperation, Process, Refused, ReloadCause, Side, TlsSession, code,
};
use crate::registry::target::Operation;
use crate::state::{Shared, State};
use crate::upstream::{Server, ServerCounts, Usage};

/// The commit that the program was built from, if the build was told.
pub(super) const REVISION: &str = match option_env!("TIDEGATE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The metrics of the process, which started just now.
pub(crate) fn registry(shared: Arc<Shared>, slots: Slots) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process::new(SystemTime::now())));
    registry.sub_registry_with_prefix("tidegate").register_collector(Box::new(Exposition { shared, slots }));
    registry
}

/// Reads everything that is counted at the moment of a scrape.
struct Exposition {
    shared: Arc<Shared>,
    slots: Slots,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposition")
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let state = self.shared.state().clone();
        let (metrics, mut page) = (&self.shared.metrics, Page(encoder));
        build(&mut page)?;
        requests(&mut page, metrics)?;
        repositories(&mut page, &state)?;
        self.connections(&mut page)?;
        self.logins(&mut page, &state)?;
        upstream(&mut page, &state)?;
        let is_holder = self.shared.is_acme_holder.load(Ordering::Relaxed);
        certificates(&mut page, &state, is_holder)?;
        self.engine(&mut page)?;
        self.settings(&mut page)
    }
}

fn build(page: &mut Page<'_>) -> fmt::Result {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("revision", REVISION)];
    page.gauges("build_info", "The version of tidegate, always 1", [(labels, 1_u64)])
}

fn requests(page: &mut Page<'_>, metrics: &Metrics) -> fmt::Result {
    let operations = || Operation::NAMES.iter().enumerate();
    let each = |value: fn(&OfOperation) -> u64| {
        operations().map(move |(position, name)| {
            ([("operation", *name)], metrics.sum(|worker| value(&worker.operations[position])))
        })
    };
    let by_code = operations().flat_map(|(position, operation)| {
        code::NAMES.iter().enumerate().map(move |(code, name)| {
            let count = metrics.sum(|worker| worker.operations[position].requests[code].get());
            ([("operation", *operation), ("code", *name)], count)
        })
    });
    page.counters("requests", "Finished requests, by operation and status", by_code)?;
    let running = operations().map(|(position, name)| {
        let running = metrics.workers().iter().map(|worker| worker.operations[position].in_flight.get());
        ([("operation", *name)], running.sum::<i64>())
    });
    page.gauges("requests_in_flight", "Running requests", running)?;
    let durations = operations().map(|(position, name)| {
        let workers = metrics.workers().iter();
        ([("operation", *name)], Observed::of(workers.map(|worker| &worker.operations[position].duration)))
    });
    page.histograms(
        "request_duration_seconds",
        "Time from the head of a request to the last byte of its answer",
        durations,
    )?;
    let first_bytes = operations().map(|(position, name)| {
        let workers = metrics.workers().iter();
        ([("operation", *name)], Observed::of(workers.map(|worker| &worker.operations[position].first_byte)))
    });
    page.histograms(
        "first_byte_seconds",
        "Time from the head of a request to the head of its answer",
        first_bytes,
    )?;
    page.counters(
        "received_bytes",
        "Bytes of bodies from clients, counted while they move",
        each(|operation| operation.received.get()),
    )?;
    page.counters(
        "sent_bytes",
        "Bytes of bodies to clients, counted while they move",
        each(|operation| operation.sent.get()),
    )?;
    let transfers = Direction::ALL.map(|direction| {
        let running = metrics.workers().iter().map(|worker| worker.transfers[direction].get());
        ([("direction", direction.as_str())], running.sum::<i64>())
    });
    page.gauges("transfers", "Layers that are being pushed or pulled", transfers)?;
    let cut = operations().flat_map(|(position, operation)| {
        Side::ALL.map(|side| {
            let count = metrics.sum(|worker| worker.operations[position].cut[side].get());
            ([("operation", *operation), ("by", side.as_str())], count)
        })
    });
    page.counters(
        "cut_transfers",
        "Transfers that ended before their last byte, by the side that ended them",
        cut,
    )?;
    let refused = Refused::ALL
        .map(|reason| ([("reason", reason.as_str())], metrics.sum(|worker| worker.refusals[reason].get())));
    page.counters("refusals", "Requests that tidegate refused, by reason", refused)
}

fn repositories(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let each = |amount: fn(&crate::metrics::Amounts) -> u64| {
        state.repositories.iter().flat_map(move |repository| {
            Action::ALL.map(|action| {
                let labels = [("repository", repository.name.as_str()), ("action", action.as_str())];
                (labels, repository.sum(action, amount))
            })
        })
    };
    page.counters(
        "repository_requests",
        "Permitted requests by the pattern of metrics.repositories that the repository matches",
        each(|amounts| amounts.requests.get()),
    )?;
    page.counters(
        "repository_bytes",
        "Bytes of bodies by the pattern of metrics.repositories that the repository matches",
        each(|amounts| amounts.bytes.get()),
    )
}

fn upstream(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let mut servers = state.routes.servers();
    // A name is a label once, even if two routes treat their server differently.
    servers.sort_by(|one, other| one.name.cmp(&other.name));
    servers.dedup_by(|one, other| one.name == other.name);
    upstreams(page, &servers)
}

fn upstreams<'a>(page: &mut Page<'_>, servers: &'a [Arc<Server>]) -> fmt::Result {
    let named = |server: &'a Arc<Server>| [("upstream", &*server.name)];
    let up = servers.iter().filter_map(|server| Some((named(server), u64::from(server.standing()?.up))));
    page.gauges("upstream_up", "Whether an address of the server can be used", up)?;
    let addresses = servers.iter().map(|server| (named(server), server.endpoints().len() as u64));
    page.gauges("upstream_addresses", "Addresses of the server", addresses)?;
    let checks = servers.iter().flat_map(|server| {
        let [name] = named(server);
        let counts = &server.counts;
        [("success", &counts.checks_passed), ("failure", &counts.checks_failed)]
            .map(|(result, count)| ([name, ("result", result)], count.get()))
    });
    page.counters("upstream_checks", "Checks of the server by result", checks)?;
    let connections = servers.iter().flat_map(|server| {
        let [name] = named(server);
        [("active", Usage::Active), ("idle", Usage::Idle)]
            .map(|(state, usage)| ([name, ("state", state)], server.connections(usage)))
    });
    page.gauges("upstream_connections", "Connections to the server", connections)?;
    let each = |count: fn(&ServerCounts) -> &Count| {
        servers.iter().map(move |server| (named(server), count(&server.counts).get()))
    };
    let failures = each(|counts| &counts.connect_failures);
    page.counters("upstream_connect_failures", "Connections to the server that failed", failures)?;
    let failures = each(|counts| &counts.resolve_failures);
    page.counters("upstream_resolve_failures", "Look-ups of the server's name that failed", failures)?;
    let retries = each(|counts| &counts.retries);
    page.counters("upstream_retries", "Requests that were sent to the server again", retries)?;
    let ejections = each(|counts| &counts.ejections);
    page.counters("upstream_ejections", "Times that an address was set aside after failures", ejections)
}

fn certificates(page: &mut Page<'_>, state: &State, is_holder: bool) -> fmt::Result {
    let ends = state.tls.certificates().map(|facts| {
        let name = facts.names().next().unwrap_or_default();
        (name, facts.not_after.unix_timestamp())
    });
    // Several certificates may have the same first name; the one that ends first counts.
    let mut first: Vec<(String, i64)> = Vec::new();
    for (name, end) in ends {
        match first.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = end.min(*known),
            None => first.push((name, end)),
        }
    }
    page.gauges(
        "certificate_not_after_timestamp_seconds",
        "End of the certificate in Unix time, by its first name",
        first.iter().map(|(name, end)| ([("name", name.as_str())], *end)),
    )?;
    let known = state.config.acme.as_ref().and_then(acme::standing);
    page.gauges(
        "acme_last_attempt_successful",
        "Whether the last attempt to get a certificate succeeded",
        known.iter().map(|known| ([], u64::from(known.succeeded))),
    )?;
    page.gauges(
        "acme_next_attempt_timestamp_seconds",
        "Time of the next attempt to get a certificate, in Unix time",
        known.iter().map(|known| ([], known.next.unix_timestamp())),
    )?;
    page.gauges("acme_holder", "Whether this process gets the certificates", [([], u64::from(is_holder))])
}

impl Exposition {
    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let metrics = &self.shared.metrics;
        let (open, limit) = self.slots.open();
        page.gauges("connections", "Open client connections", [([], open as u64)])?;
        page.gauges("connections_limit", "Most client connections that may be open", [([], limit as u64)])?;
        let accepted = metrics.accepted();
        let accepted =
            accepted.iter().map(|(listener, count)| ([("listener", listener.as_str())], count.get()));
        page.counters("connections_accepted", "Accepted connections by listening address", accepted)?;
        let handshakes = TlsSession::ALL.map(|kind| {
            let resumed = if kind.is_resumed() { "true" } else { "false" };
            let labels = [("version", kind.as_str()), ("resumed", resumed)];
            (labels, metrics.sum(|worker| worker.handshakes[kind].get()))
        });
        page.counters("handshakes", "TLS handshakes by version", handshakes)?;
        let failures = HandshakeFault::ALL.map(|reason| {
            ([("reason", reason.as_str())], metrics.sum(|worker| worker.handshake_failures[reason].get()))
        });
        page.counters("handshake_failures", "TLS handshakes that failed", failures)
    }

    fn logins(&self, page: &mut Page<'_>, state: &State) -> fmt::Result {
        let metrics = &self.shared.metrics;
        let logins = Login::ALL.iter().flat_map(|login| {
            LoginResult::ALL.map(|result| {
                let count = metrics.sum(|worker| worker.logins[*login][result].get());
                ([("method", login.method()), ("source", login.source()), ("result", result.as_str())], count)
            })
        });
        page.counters("logins", "Credentials that were judged", logins)?;
        let tokens = Grant::ALL.map(|grant| {
            ([("grant", grant.as_str())], metrics.sum(|worker| worker.tokens_issued[grant].get()))
        });
        page.counters("tokens_issued", "Tokens that were issued, by what they were issued for", tokens)?;
        let work = self.shared.verifier.done();
        page.histograms("password_hash_seconds", "Time for one check of a password", [([], work.seconds)])?;
        page.counters("password_cache_hits", "Passwords that were found in memory", [([], work.hits)])?;
        page.counters("password_cache_misses", "Passwords that had to be checked", [([], work.misses)])?;
        page.gauges("hash_queue", "Passwords that wait for their check", [([], work.queued as u64)])?;
        page.gauges("hash_queue_limit", "Most passwords that may wait", [([], work.queue_limit as u64)])?;
        let users = state.sources.as_ref().and_then(|sources| sources.file.as_ref());
        page.gauges(
            "htpasswd_users",
            "Users in auth.htpasswd",
            users.and_then(|users| users.current().ok()).map(|users| ([], users.users().len() as u64)),
        )?;
        page.gauges(
            "htpasswd_last_load_successful",
            "Whether auth.htpasswd was read and valid at the last change",
            users.map(|users| ([], u64::from(!users.has_failed()))),
        )
    }

    /// What replicas share.
    fn engine(&self, page: &mut Page<'_>) -> fmt::Result {
        let engine = self.shared.engine.as_ref();
        page.gauges(
            "shared_up",
            "Whether the engine of the shared state can be used",
            engine.map(|engine| ([], u64::from(engine.standing().is_up))),
        )?;
        let counts = engine.map_or_else(Default::default, Engine::failures);
        let failures = Asked::ALL.map(|asked| ([("asked", asked.as_str())], counts[asked.index()]));
        page.counters(
            "shared_failures",
            "Questions to the engine of the shared state that failed, by what they were for",
            failures,
        )
    }

    fn settings(&self, page: &mut Page<'_>) -> fmt::Result {
        let reloads = &self.shared.reloads;
        let succeeded = reloads.last().is_none_or(|last| last.error.is_none());
        page.gauges(
            "config_last_reload_successful",
            "Whether the last reload succeeded",
            [([], u64::from(succeeded))],
        )?;
        let loaded = reloads.loaded().duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauges(
            "config_last_reload_success_timestamp_seconds",
            "When the running settings were loaded, in Unix time",
            [([], loaded.as_secs_f64())],
        )?;
        let counts = ReloadCause::ALL.iter().flat_map(|cause| {
            let (succeeded, failed) = reloads.count(*cause);
            [("success", succeeded), ("failure", failed)]
                .map(|(result, count)| ([("cause", cause.as_str()), ("result", result)], count))
        });
        page.counters("reloads", "Reloads by cause and result", counts)?;
        let draining = u64::from(self.shared.is_draining());
        page.gauges("draining", "Whether the process has been asked to stop", [([], draining)])?;
        let (access, audit) = (&self.shared.access_log, &self.shared.audit_log);
        let lost = [([("log", "access")], access.lost()), ([("log", "audit")], audit.lost())];
        page.counters("log_lines_lost", "Lines that could not be written to a log", lost)
    }
}

/// Writes families of metrics.
struct Page<'a>(DescriptorEncoder<'a>);

/// The labels of one series.
type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl Page<'_> {
    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            if N == 0 {
                family.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            } else {
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            if N == 0 {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histograms<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l, N>, Observed)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, Observed { sum, count, buckets }) in series {
            if N == 0 {
                family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            } else {
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
