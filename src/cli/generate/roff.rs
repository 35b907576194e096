//! The language of man pages, as far as `tidegate.toml.5` needs it: see man(7).

/// One line of text. A dot or an apostrophe at its beginning would be a request.
pub(super) fn line(text: &str) -> String {
    let text = text.trim();
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{text}\n")
}

/// Characters that mean something else to the formatter, or that not every formatter reads.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\e"),
            // A hyphen would be printed as another character, and no search would find an option.
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '…' => escaped.push_str("..."),
            char if char.is_ascii() => escaped.push(char),
            char => escaped.push_str(&format!("\\[u{:04X}]", u32::from(char))),
        }
    }
    escaped
}

/// A paragraph, a cell or a heading of Markdown, on one line: code and strong words are bold,
/// and of a link only its text is left.
pub(super) fn inline(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['`', '*', '[', '\\']) {
        let (plain, marked) = rest.split_at(at);
        out.push_str(&escape(plain));
        let parsed =
            code(marked).or_else(|| strong(marked)).or_else(|| emphasis(marked)).or_else(|| link(marked));
        let (formatted, after) = parsed.unwrap_or_else(|| literal(marked));
        out.push_str(&formatted);
        rest = after;
    }
    out + &escape(rest)
}

fn code(text: &str) -> Option<(String, &str)> {
    let (code, rest) = text.strip_prefix('`')?.split_once('`')?;
    Some((bold(&escape(code)), rest))
}

fn strong(text: &str) -> Option<(String, &str)> {
    let (words, rest) = text.strip_prefix("**")?.split_once("**")?;
    Some((all_bold(words), rest))
}

fn emphasis(text: &str) -> Option<(String, &str)> {
    let (words, rest) = text.strip_prefix('*')?.split_once('*')?;
    let is_word = words.starts_with(char::is_alphanumeric) && words.ends_with(char::is_alphanumeric);
    is_word.then(|| (format!("\\fI{}\\fR", escape(words)), rest))
}

fn link(text: &str) -> Option<(String, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (_, rest) = rest.split_once(')')?;
    Some((inline(label), rest))
}

/// A character that marks nothing here, or one that a backslash protects.
fn literal(text: &str) -> (String, &str) {
    let bare = text.strip_prefix('\\').filter(|rest| !rest.is_empty()).unwrap_or(text);
    let (char, rest) = bare.split_at(bare.chars().next().map_or(0, char::len_utf8));
    (escape(char), rest)
}

/// The same as [`inline`], and bold from end to end.
pub(super) fn all_bold(text: &str) -> String {
    bold(&inline(text).replace("\\fB", "").replace("\\fR", ""))
}

fn bold(text: &str) -> String {
    format!("\\fB{text}\\fR")
}
