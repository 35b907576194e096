//! One line of the screen.

use std::borrow::Cow;

/// How a piece of text looks where the terminal can show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
    Pull,
    Push,
}

/// Which escape codes a terminal gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// None, as for a file.
    Text,
    /// Bold and dim, without colors.
    Plain,
    Color,
}

/// Pieces of text beside each other. Each character is one column wide.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    pub(super) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Appends text, cut or filled with spaces to `width` columns.
    pub(super) fn column(self, style: Style, text: &str, width: usize) -> Self {
        let text = cut(text, width);
        self.and(style, format!("{text:<width$} "))
    }

    /// The same with the spaces before the text.
    pub(super) fn right(self, style: Style, text: &str, width: usize) -> Self {
        let text = cut(text, width);
        self.and(style, format!("{text:>width$} "))
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// Puts `other` at the end of a line of this width, if there is room for both.
    pub(super) fn with_end(self, other: Self, width: usize) -> Self {
        let Some(room) = width.checked_sub(self.width() + other.width()).filter(|room| *room > 0) else {
            return self;
        };
        self.and(Style::Plain, " ".repeat(room)).append(other)
    }

    /// Appends another line.
    pub(super) fn append(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The line with its escape codes, cut to `width` columns, without spaces at its end.
    pub(super) fn render(&self, width: usize, look: Look) -> String {
        let mut out = String::new();
        let mut room = width;
        for (style, text) in &self.0 {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            match code(*style, look) {
                Some(code) if !text.trim().is_empty() => out.push_str(&format!("\x1b[{code}m{text}\x1b[m")),
                _ => out.push_str(&text),
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// Three dots show that something was cut.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return text.into();
    }
    if width < 6 {
        return text.chars().take(width).collect();
    }
    text.chars().take(width - 3).chain("...".chars()).collect()
}

fn code(style: Style, look: Look) -> Option<&'static str> {
    let (plain, color) = match style {
        Style::Plain => return None,
        Style::Bold => ("1", "1"),
        Style::Dim => ("2", "2"),
        Style::Good => ("", "32"),
        Style::Warn => ("1", "1;33"),
        Style::Bad => ("1", "1;31"),
        Style::Pull => ("", "36"),
        Style::Push => ("", "33"),
    };
    match look {
        Look::Text => None,
        Look::Plain => Some(plain).filter(|code| !code.is_empty()),
        Look::Color => Some(color),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_its_width_and_every_style_ends() {
        let line = Line::new(Style::Bold, "ab").and(Style::Good, "cdef").and(Style::Bad, "gh");
        assert_eq!(line.render(4, Look::Text), "abcd");
        assert_eq!(line.render(4, Look::Color), "\x1b[1mab\x1b[m\x1b[32mcd\x1b[m");
        assert_eq!(line.render(4, Look::Plain), "\x1b[1mab\x1b[mcd");
        assert_eq!(line.render(0, Look::Color), "");
    }

    #[test]
    fn a_column_is_as_wide_as_it_was_made() {
        let line = Line::default().column(Style::Plain, "abcdefgh", 7).right(Style::Plain, "ä", 3);
        assert_eq!(line.render(80, Look::Text), "abcd...   ä");
        assert_eq!(line.width(), 12);
    }
}
