//! `tidegate.toml.5`: what docs/configuration.md says, as a man page.

use super::roff::{all_bold, escape, inline, line};

const MANUAL: &str = include_str!("../../../docs/configuration.md");

/// Names of variables are not hyphenated.
const HEAD: &str = concat!(
    ".TH tidegate.toml 5 \"\" \"tidegate ",
    env!("CARGO_PKG_VERSION"),
    "\"\n.nh\n.ad l\n.SH NAME\ntidegate.toml \\- the settings of tidegate, in a file that is usually named proxy.toml\n",
    ".SH DESCRIPTION\n"
);

const FOOT: &str =
    ".SH \"SEE ALSO\"\n.BR tidegate (1),\n.BR tidegate\\-check (1),\n.BR tidegate\\-init (1)\n";

/// The page.
pub(super) fn text() -> String {
    let mut page = HEAD.to_owned();
    let mut lines = MANUAL.lines().peekable();
    // The contents: a man page has no links.
    let mut in_introduction = true;
    while let Some(first) = lines.next() {
        if let Some(title) = first.strip_prefix("## ") {
            in_introduction = false;
            page.push_str(&format!(".SH \"{}\"\n", inline(title).replace('"', "\\(dq")));
        } else if let Some(title) = first.strip_prefix("### ") {
            page.push_str(&format!(".SS \"{}\"\n", inline(title).replace('"', "\\(dq")));
        } else if first.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            page.push_str(&example(code));
        } else if first.starts_with('|') {
            let rows = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('|')));
            page.push_str(&table(first, rows));
        } else if !first.is_empty() && !first.starts_with("# ") {
            let more = std::iter::from_fn(|| lines.next_if(|line| continues(line)));
            let whole = std::iter::once(first).chain(more).map(str::trim).collect::<Vec<_>>().join(" ");
            match whole.strip_prefix("- ") {
                Some(_) if in_introduction => {}
                Some(item) => page.push_str(&format!(".IP \\(bu 2\n{}", line(&inline(item)))),
                None => page.push_str(&format!(".PP\n{}", line(&inline(&whole)))),
            }
        }
    }
    page + FOOT
}

/// Whether a line belongs to the paragraph or the entry of a list above it.
fn continues(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("- ") && !line.starts_with(['|', '#', '`'])
        || line.starts_with('`') && !line.starts_with("```")
}

fn example<'a>(code: impl Iterator<Item = &'a str>) -> String {
    let code: String =
        code.map(|text| if text.is_empty() { "\n".to_owned() } else { verbatim(text) }).collect();
    format!(".PP\n.RS 4\n.nf\n{code}.fi\n.RE\n")
}

/// A line whose blanks count.
fn verbatim(text: &str) -> String {
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{}\n", escape(text))
}

/// Each row is an entry under its first cell. The last column explains; the cells between have the
/// names of their columns.
fn table<'a>(head: &str, rows: impl Iterator<Item = &'a str>) -> String {
    let names = cells(head);
    let mut text = String::new();
    for row in rows.map(cells).filter(|row| !row.iter().all(|cell| cell.starts_with("---"))) {
        let Some((first, others)) = row.split_first() else { continue };
        text.push_str(&format!(".TP\n{}", line(&all_bold(first))));
        let (facts, last) = match others.split_last() {
            Some((last, facts)) => (facts, *last),
            None => (others, ""),
        };
        let named: Vec<_> = names.iter().skip(1).zip(facts).map(|(name, cell)| fact(name, cell)).collect();
        if !named.is_empty() {
            text.push_str(&format!("{}.br\n", line(&named.join("; "))));
        }
        if !last.is_empty() {
            text.push_str(&line(&inline(last)));
        }
    }
    text
}

fn fact(name: &str, cell: &str) -> String {
    format!("{}: {}", inline(name), inline(cell))
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}
