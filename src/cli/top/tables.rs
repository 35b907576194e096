//! The tables of transfers and refusals.

use serde_json::Value;

use super::facts::{list, number, seconds, text};
use super::figures::{bytes, count, rate, span};
use super::line::{Line, Style};
use super::size::Size;

/// Columns of a progress bar, alone and with its percentage.
const BAR: usize = 10;
const PROGRESS: usize = BAR + 6;

/// From this width on there is room for a bar and the user.
const ROOMY: usize = 70;

/// The running transfers in at most `room` lines, a blank one and the heads of the columns
/// included.
pub(super) fn transfers(status: &Value, room: usize, size: Size) -> Vec<Line> {
    let all = list(status, "/transfers");
    let total = number(status, "/transfers_total").map_or(0, |total| total as usize).max(all.len());
    let columns = Columns::new(size.width);
    let mut lines = vec![Line::default(), columns.heads()];
    let rows = room.saturating_sub(lines.len());
    if total == 0 {
        lines.push(Line::new(Style::Dim, "no transfer is running"));
    }
    // The last line tells of those that have no room.
    let shown = if total <= rows { total } else { rows.saturating_sub(1) };
    lines.extend(all.iter().take(shown).map(|transfer| columns.row(transfer, size.blocks)));
    if total > shown.min(all.len()) {
        lines.push(Line::new(Style::Dim, format!("and {} more", total - shown.min(all.len()))));
    }
    lines.truncate(room);
    lines
}

/// The widths of the columns; 0 for one that has no room.
struct Columns {
    repository: usize,
    user: usize,
    client: usize,
    progress: usize,
}

impl Columns {
    fn new(width: usize) -> Self {
        let progress = if width >= ROOMY { PROGRESS } else { 5 };
        let user = if width >= ROOMY { 12 } else { 0 };
        let client = if width >= 100 { 15 } else { 0 };
        // Direction, bytes and rate, and a space after each column.
        let others = [4, 8, 10, progress, user, client];
        let taken: usize = others.iter().filter(|width| **width > 0).map(|width| width + 1).sum();
        Self { repository: width.saturating_sub(taken + 1).max(8), user, client, progress }
    }

    fn heads(&self) -> Line {
        self.line(Style::Dim, ["", "REPOSITORY", "USER", "CLIENT", "BYTES", "RATE", "PROGRESS"])
    }

    fn row(&self, transfer: &Value, blocks: bool) -> Line {
        let direction = text(transfer, "/direction");
        let moved = number(transfer, "/bytes").unwrap_or(0.0);
        let age = number(transfer, "/age");
        let average = || age.filter(|age| *age > 0.0).map(|age| moved / age);
        let speed = number(transfer, "/rate").or_else(average);
        let size = number(transfer, "/size").filter(|size| *size > 0.0 && moved <= *size);
        // Without a size there is no percentage.
        let progress = match size {
            Some(size) if self.progress == PROGRESS => {
                format!("{} {:>3} %", bar(moved / size, blocks), (moved / size * 100.0).floor())
            }
            Some(size) => format!("{:>3} %", (moved / size * 100.0).floor()),
            None => span(age),
        };
        let user = Some(text(transfer, "/user")).filter(|user| !user.is_empty());
        self.line(
            if direction == "push" { Style::Push } else { Style::Pull },
            [
                &direction,
                &text(transfer, "/repository"),
                user.as_deref().unwrap_or("anonymous"),
                &text(transfer, "/client"),
                &bytes(Some(moved)),
                &rate(speed),
                &progress,
            ],
        )
    }

    fn line(
        &self,
        style: Style,
        [direction, repository, user, client, moved, speed, progress]: [&str; 7],
    ) -> Line {
        let plain = if style == Style::Dim { Style::Dim } else { Style::Plain };
        let mut line = Line::default().column(style, direction, 4).column(plain, repository, self.repository);
        for (text, width) in [(user, self.user), (client, self.client)] {
            if width > 0 {
                line = line.column(plain, text, width);
            }
        }
        line.right(plain, moved, 8).right(plain, speed, 10).column(style, progress, self.progress)
    }
}

fn bar(part: f64, blocks: bool) -> String {
    let full = (part * BAR as f64).floor().clamp(0.0, BAR as f64) as usize;
    let (done, rest) = if blocks { ("█", "░") } else { ("#", ".") };
    done.repeat(full) + &rest.repeat(BAR - full)
}

/// The newest refusals in at most `room` lines, a blank one and the heads of the columns included.
pub(super) fn refusals(status: &Value, room: usize, width: usize) -> Vec<Line> {
    let all = list(status, "/refusals");
    if all.is_empty() || room < 3 {
        return Vec::new();
    }
    let now = seconds(status, "/time");
    let request = width.saturating_sub(56).clamp(8, 34);
    // The other columns, with their spaces, take 31.
    let reason = width.saturating_sub(request + 31).max(8);
    let line = |style, code_style, [age, code, user, what, why]: [&str; 5]| {
        let line = Line::default().right(style, age, 11).column(code_style, code, 4);
        line.column(style, user, 12).column(style, what, request).column(style, why, reason)
    };
    let heads = line(Style::Dim, Style::Dim, ["REFUSED", "", "USER", "REQUEST", "REASON"]);
    let mut lines = vec![Line::default(), heads];
    lines.extend(all.iter().take(room - 2).map(|refusal| {
        let age = now.zip(seconds(refusal, "/time")).map(|(now, then)| now - then);
        let user = Some(text(refusal, "/user")).filter(|user| !user.is_empty());
        let what = format!("{} {}", text(refusal, "/method"), text(refusal, "/repository"));
        let code = count(number(refusal, "/status"));
        let user = user.as_deref().unwrap_or("anonymous");
        line(Style::Plain, Style::Warn, [&span(age), &code, user, &what, &text(refusal, "/reason")])
    }));
    lines
}
