//! What needs somebody's attention.

use serde_json::Value;

use super::facts::{clean, is, number, text};
use super::figures::count;
use super::line::{Line, Style};

/// A line for each problem, the worst first.
pub(super) fn problems(status: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    if is(status, "/ready", false) && !is(status, "/draining", true) {
        let checks = status.pointer("/checks").and_then(Value::as_object);
        let failed = checks.into_iter().flatten().filter_map(|(check, found)| {
            let found = found.as_str().filter(|found| *found != "ok")?;
            Some(format!("{}: {}", clean(check), clean(found)))
        });
        let failed: Vec<String> = failed.collect();
        lines.push(Line::new(Style::Bad, "not ready: ").and(Style::Plain, failed.join("; ")));
    }
    if is(status, "/settings/last_reload/ok", false) {
        let error = text(status, "/settings/last_reload/error");
        lines.push(Line::new(Style::Bad, "the last reload failed: ").and(Style::Plain, error));
    }
    for log in ["audit", "access"] {
        let lost = number(status, &format!("/lost_lines/{log}"));
        if lost > Some(0.0) {
            lines.push(Line::new(Style::Bad, format!("the {log} log has lost {} lines", count(lost))));
        }
    }
    if let (Some(waiting), Some(limit)) =
        (number(status, "/passwords/queue"), number(status, "/passwords/queue_limit"))
        && waiting > 0.8 * limit
    {
        lines.push(Line::new(Style::Warn, "logins have to wait: the queue for passwords is nearly full"));
    }
    lines
}
