//! What is on the screen: the facts of one status, for a terminal of a certain size.

use serde_json::Value;

use super::chart;
use super::facts::{is, list, number, text};
use super::figures::{bytes, count, rate, span};
use super::line::{Line, Style};
use super::problems::problems;
use super::size::Size;
use super::tables::{refusals, transfers};

/// Bytes per second of the whole door.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Speed {
    pub(super) sent: Option<f64>,
    pub(super) received: Option<f64>,
}

/// Below this height there is no room for the chart.
const CHART_FROM: usize = 20;

impl Speed {
    /// The speed in the last ten seconds of a chart.
    pub(super) fn of_last_slot(chart: &Value) -> Self {
        let interval = number(chart, "/interval").filter(|interval| *interval > 0.0);
        let last = |at| Some(list(chart, at).last()?.as_f64()? / interval?);
        Self { sent: last("/sent"), received: last("/received") }
    }
}

/// What is known at one moment.
pub(super) struct View<'a> {
    pub(super) status: &'a Value,
    pub(super) speed: Speed,
    /// The chart of the last status that had one.
    pub(super) chart: &'a Value,
    /// What is wrong with the connection to tidegate.
    pub(super) lost: Option<&'a str>,
}

/// The lines of a frame, at most as many as the terminal has.
pub(super) fn frame(view: &View<'_>, size: Size) -> Vec<Line> {
    let View { status, speed, chart, lost } = view;
    let mut lines = vec![title(status, *lost, size.width)];
    lines.extend(figures(status, *speed));
    lines.extend(registry_and_certificate(status));
    if let Some(lost) = lost {
        lines.push(Line::new(Style::Warn, format!("{lost}; trying again")));
    }
    lines.extend(problems(status).into_iter().take(4));
    if size.height >= CHART_FROM {
        lines.extend(chart::lines(chart, size));
    }
    let running = list(status, "/transfers");
    let refused = list(status, "/refusals");
    // The last line says how to leave.
    let room = size.height.saturating_sub(lines.len() + 1);
    let for_refusals = if refused.is_empty() { 0 } else { (refused.len() + 2).min(room / 3) };
    let for_transfers = (running.len().max(1) + 3).min(room - for_refusals);
    lines.extend(transfers(status, for_transfers, size));
    lines.extend(refusals(status, room - for_transfers, size.width));
    lines.truncate(size.height);
    lines
}

fn title(status: &Value, lost: Option<&str>, width: usize) -> Line {
    let line = Line::new(Style::Bold, "tidegate ").and(Style::Plain, text(status, "/node")).and(
        Style::Dim,
        format!("  version {}, up {}", text(status, "/version"), span(number(status, "/uptime"))),
    );
    let (style, state) = if lost.is_some() {
        (Style::Warn, "CONNECTION LOST")
    } else if is(status, "/draining", true) {
        (Style::Warn, "DRAINING")
    } else if is(status, "/ready", false) {
        (Style::Bad, "NOT READY")
    } else {
        (Style::Good, "READY")
    };
    line.with_end(Line::new(style, state), width)
}

fn figures(status: &Value, speed: Speed) -> [Line; 2] {
    let of = |at, limit| match number(status, limit) {
        Some(limit) => format!("{}/{limit:.0}", count(number(status, at))),
        None => count(number(status, at)),
    };
    let pair = |line: Line, label, style, value: &str, width| {
        line.and(Style::Dim, label).column(style, value, width)
    };
    let mut first = Line::default();
    first = pair(first, "sending   ", Style::Pull, &rate(speed.sent), 11);
    first = pair(first, "receiving ", Style::Push, &rate(speed.received), 11);
    first = pair(first, "connections ", Style::Plain, &of("/connections/open", "/connections/limit"), 11);
    first = pair(first, "logins ", Style::Plain, &of("/passwords/queue", "/passwords/queue_limit"), 6);
    let mut second = Line::default();
    second = pair(second, "sent      ", Style::Plain, &bytes(number(status, "/bytes/sent")), 11);
    second = pair(second, "received  ", Style::Plain, &bytes(number(status, "/bytes/received")), 11);
    second = pair(second, "requests    ", Style::Plain, &count(number(status, "/requests/total")), 11);
    second = pair(second, "refused ", Style::Plain, &count(number(status, "/requests/refused")), 6);
    [first, second]
}

fn registry_and_certificate(status: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    for upstream in list(status, "/upstreams").iter().take(3) {
        let (style, state) = match upstream.pointer("/up").and_then(Value::as_bool) {
            Some(true) => (Style::Good, "up"),
            Some(false) => (Style::Bad, "down"),
            None => (Style::Plain, "not known"),
        };
        lines.push(
            Line::new(Style::Dim, "registry  ")
                .and(Style::Plain, text(upstream, "/name") + " ")
                .and(style, state),
        );
    }
    let soonest = list(status, "/certificates").iter().min_by(|one, other| {
        let days = |certificate: &Value| number(certificate, "/days").unwrap_or(f64::MAX);
        days(one).total_cmp(&days(other))
    });
    if let Some(certificate) = soonest {
        let days = number(certificate, "/days");
        let style = match days {
            Some(..3.0) => Style::Bad,
            Some(..14.0) => Style::Warn,
            _ => Style::Good,
        };
        lines.push(
            Line::new(Style::Dim, "certificate ")
                .and(Style::Plain, text(certificate, "/names/0") + " ")
                .and(style, format!("{} days", count(days.map(f64::floor)))),
        );
    }
    // Beside each other if there is one of each.
    if lines.len() == 2
        && let (Some(certificate), Some(registry)) = (lines.pop(), lines.pop())
    {
        lines.push(registry.and(Style::Plain, "   ").append(certificate));
    }
    lines
}

#[cfg(test)]
mod tests;
