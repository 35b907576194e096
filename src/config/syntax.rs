//! Finds every syntax error in a TOML file, not only the first.
//!
//! After some errors the parser reports others that only follow from them. So only its first error
//! is reported. The statement with that error is blanked, byte for byte, and the rest is parsed
//! again.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::report::{Report, position};

/// The most syntax errors that are reported.
const MOST_ERRORS: usize = 50;

/// Reports every syntax error and returns the text with the broken statements blanked. All other
/// bytes keep their offsets.
pub(super) fn sound_part(text: &str, report: &mut Report) -> String {
    let mut sound = text.to_owned();
    for _ in 0..MOST_ERRORS {
        let errors = DeTable::parse_recoverable(&sound).1;
        let Some(error) = errors.iter().filter(|error| !is_duplicate(error)).min_by_key(|error| start(error))
        else {
            for error in &errors {
                report.truncated(start(error), duplicate(text, error));
            }
            return sound;
        };
        let offset = start(error);
        let broken = statement(&sound, offset, error.message());
        report.truncated(offset, describe(&sound, offset, &broken, error.message()));
        let blanked = blank(&sound, broken);
        if blanked == sound {
            break;
        }
        sound = blanked;
    }
    sound
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn is_duplicate(error: &Error) -> bool {
    error.message().starts_with("duplicate key")
}

fn duplicate(text: &str, error: &Error) -> String {
    let span = error.span().unwrap_or_default();
    let name = text.get(span.clone()).unwrap_or_default();
    let line = text.get(..span.start).and_then(|before| before.lines().next_back()).unwrap_or_default();
    if !line.trim_start().starts_with('[') || line.contains('=') {
        return format!("{name} is defined twice; keep one of the two");
    }
    let header = text.get(span.start - line.len()..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let header = header.split('#').next().unwrap_or_default().trim();
    let first = text.lines().position(|line| line.split('#').next().unwrap_or_default().trim() == header);
    let first = first.map_or_else(String::new, |first| format!(" on line {}", first + 1));
    format!("{header} is defined twice; write its keys below the first one{first}")
}

fn describe(text: &str, offset: usize, broken: &Range<usize>, message: &str) -> String {
    let rest = text.get(offset..).unwrap_or_default();
    let plain = match message {
        _ if rest.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}']) => {
            "these quotes are not the straight ones of a program's text; write \" or '"
        }
        _ if rest.starts_with([',', ';']) => {
            "something follows the value; write each key on a line of its own, without a comma or a semicolon"
        }
        message if message.starts_with("key with no value") => "there is no = after the key",
        message if message.starts_with("invalid unquoted key") && rest.starts_with(':') => {
            "a key is followed by =, not by a colon"
        }
        message if message.starts_with("invalid basic string") => "the closing \" is missing",
        message if message.starts_with("invalid literal string") => "the closing ' is missing",
        message
            if message.starts_with("string values must be quoted")
                || message.starts_with("invalid float")
                || message.starts_with("invalid boolean") =>
        {
            "a value is missing, or text is not in quotes"
        }
        message if message.starts_with("missing escaped value") => {
            "in double quotes a backslash begins an escape; write the text in 'single quotes'"
        }
        message => message,
    };
    let (first, here) = (position(text, broken.start).0, position(text, offset).0);
    if first < here {
        format!("not valid TOML: {plain}; look at the statement that begins on line {first}")
    } else {
        format!("not valid TOML: {plain}")
    }
}

/// The lines to blank for an error at `offset`.
fn statement(text: &str, offset: usize, message: &str) -> Range<usize> {
    let lines = lines(text);
    let here = lines.iter().rposition(|line| line.start <= offset).unwrap_or(0);
    let content = |index: usize| lines.get(index).and_then(|line| text.get(line.clone())).unwrap_or_default();
    let range = |first: usize, last: usize| {
        lines.get(first).map_or(0, |line| line.start)..lines.get(last).map_or(text.len(), |line| line.end)
    };
    if message.contains("multi-line") {
        let opening = (0..=here)
            .rev()
            .find(|index| content(*index).contains(r#"""""#) || content(*index).contains("'''"));
        return range(opening.unwrap_or(here), lines.len());
    }
    // If the line parses by itself, the error is a bracket left open above it.
    let sound_alone = DeTable::parse(content(here)).is_ok();
    let last = if sound_alone { here.saturating_sub(1) } else { here };
    let mut first = (0..=last).rev().find(|index| begins_statement(content(*index))).unwrap_or(last);
    // A line after a complete statement does not continue it.
    if first < last && text.get(range(first, last - 1)).is_some_and(|above| DeTable::parse(above).is_ok()) {
        first = last;
    }
    if content(first).trim_start().starts_with('[') {
        // Without its header, the keys of a section would be taken for keys of the section above.
        let next = (first + 1..lines.len()).find(|index| content(*index).starts_with('['));
        return range(first, next.map_or(lines.len(), |next| next - 1));
    }
    range(first, last)
}

fn begins_statement(line: &str) -> bool {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ' | '\t');
    let line = line.trim();
    let header =
        line.starts_with('[') && line.trim_start_matches('[').starts_with(|c: char| c.is_ascii_alphabetic());
    let pair = line.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.chars().all(bare));
    header || pair
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.len();
            start = range.end;
            range
        })
        .collect()
}

fn blank(text: &str, broken: Range<usize>) -> String {
    let blanked = |byte: u8| if matches!(byte, b'\n' | b'\r') { byte } else { b' ' };
    let bytes: Vec<u8> = text
        .bytes()
        .enumerate()
        .map(|(at, byte)| if broken.contains(&at) { blanked(byte) } else { byte })
        .collect();
    // Whole lines are blanked, so no character is split.
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn errors(text: &str) -> (Vec<String>, String) {
        let mut report = Report::new(Path::new("f"), text);
        let sound = sound_part(text, &mut report);
        assert_eq!(sound.len(), text.len());
        let problems = report.finish(Some(())).err().map(|problems| problems.0).unwrap_or_default();
        (problems.iter().map(ToString::to_string).collect(), sound)
    }

    fn places(text: &str) -> Vec<String> {
        errors(text)
            .0
            .iter()
            .map(|error| error.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
            .collect()
    }

    #[test]
    fn sound_text_stays() {
        let text = "[a]\nb = 1\n";
        assert_eq!(errors(text), (Vec::new(), text.to_owned()));
    }

    #[test]
    fn every_broken_statement_is_one_problem() {
        let text = "[a]\nb = \nc: 3\nd 4\ne = 30s\nf = foo\n[b]\ng = \"\\d\"\nh = 'x\ni = 1\n";
        let places = places(text);
        assert_eq!(places, ["f:2:5", "f:3:2", "f:4:3", "f:5:5", "f:6:5", "f:8:7", "f:9:7"]);
    }

    #[test]
    fn habits_from_other_files_are_named() {
        for (line, told) in [
            ("b: 1", "a key is followed by =, not by a colon"),
            ("b 1;", "there is no = after the key"),
            ("b = \"x\",", "something follows the value; write each key on a line of its own"),
            ("b = \"x\";", "something follows the value; write each key on a line of its own"),
            ("b = \u{201c}x\u{201d}", "these quotes are not the straight ones"),
            ("b = \"x", "the closing \" is missing"),
            ("b = 'x", "the closing ' is missing"),
        ] {
            let errors = errors(&format!("[a]\n{line}\nc = 2\n")).0;
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains(&format!("not valid TOML: {told}")), "{line}: {errors:?}");
        }
    }

    #[test]
    fn open_brackets_do_not_eat_the_file() {
        for opening in ["listen = [\"a\"", "listen = { a = 1", "listen = [\n  \"a\","] {
            let text = format!("[server]\n{opening}\nnames = []\n[limits]\nheaders = x\n");
            let (errors, sound) = errors(&text);
            assert_eq!(errors.len(), 2, "{errors:?}");
            assert!(errors[0].ends_with("look at the statement that begins on line 2"), "{errors:?}");
            assert!(sound.contains("names = []\n[limits]"), "{sound}");
        }
    }

    #[test]
    fn an_open_multi_line_string_is_one_problem() {
        assert_eq!(errors("[a]\nb = \"\"\"x\nc = 1\nd = foo\n").0.len(), 1);
    }

    #[test]
    fn a_broken_header_takes_its_section_with_it() {
        let (errors, sound) = errors("[server\nlisten = 1\n[limits]\nheaders = 3\n");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(sound.trim(), "[limits]\nheaders = 3");
    }

    #[test]
    fn duplicates_are_named() {
        let (errors, _) = errors("[a]\nb = 1\nb = 2\n[c]\n[a]\n");
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0], "f:3:1: b is defined twice; keep one of the two");
        assert_eq!(errors[1], "f:5:2: [a] is defined twice; write its keys below the first one on line 1");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "([a-z\\[\\]{}=\"',.#0-9 \\\\ü]|\n|\r\n|'''|\"\"\"){0,60}") {
            errors(&text);
        }
    }
}
