//! Markdown as far as the documents use it: headings, fenced blocks, code spans, links.

use std::collections::{HashMap, HashSet};

use regex::Regex;

/// A fenced block.
pub struct Block {
    /// Where its fence stands, counted from 1.
    pub line: usize,
    /// The word after the fence.
    pub language: String,
    pub text: String,
}

/// One document, taken apart.
pub struct Page {
    /// Its path in the repository.
    pub name: String,
    pub blocks: Vec<Block>,
    /// Everything else: paragraphs, tables and headings, each with the number of its first line.
    pub paragraphs: Vec<(usize, String)>,
}

impl Page {
    pub fn parse(name: &str, text: &str) -> Page {
        let (mut blocks, mut paragraphs) = (Vec::<Block>::new(), Vec::<(usize, String)>::new());
        let (mut inside, mut apart) = (false, true);
        for (index, line) in text.lines().enumerate() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                inside = !inside;
                apart = true;
                if inside {
                    let language = language.trim().to_owned();
                    blocks.push(Block { line: index + 1, language, text: String::new() });
                }
            } else if inside {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            } else if line.trim().is_empty() {
                apart = true;
            } else {
                let is_code = line.starts_with("    ") || line.starts_with("~~~");
                assert!(
                    !is_code,
                    "{name}:{}: code stands between ``` and ```, where it is checked",
                    index + 1
                );
                if apart || line.starts_with(['|', '#']) {
                    paragraphs.push((index + 1, String::new()));
                }
                apart = line.starts_with('#');
                let (_, paragraph) = paragraphs.last_mut().unwrap();
                paragraph.push_str(line.trim());
                paragraph.push('\n');
            }
        }
        assert!(!inside, "{name}: the last fence is not closed");
        Page { name: name.to_owned(), blocks, paragraphs }
    }

    /// The text between backticks outside of blocks, with its line.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let mut spans = Vec::new();
        for (first, paragraph) in &self.paragraphs {
            let mut line = *first;
            for (index, piece) in paragraph.split('`').enumerate() {
                if index % 2 == 1 {
                    spans.push((line, piece.replace('\n', " ")));
                }
                line += piece.matches('\n').count();
            }
        }
        spans
    }

    /// The targets of links and images, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
        let mut links = Vec::new();
        for (first, paragraph) in &self.paragraphs {
            for found in link.captures_iter(paragraph) {
                let before = &paragraph[..found.get(0).unwrap().start()];
                links.push((first + before.matches('\n').count(), found[1].to_owned()));
            }
        }
        links
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> HashSet<String> {
        let mut seen = HashMap::<String, usize>::new();
        let headings = self.paragraphs.iter().filter(|(_, text)| text.starts_with('#'));
        headings
            .map(|(_, text)| {
                let title = text.trim_start_matches('#').trim().to_lowercase();
                let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                let slug = kept.collect::<String>().replace(' ', "-");
                let again = seen.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0);
                if *again == 0 { slug } else { format!("{slug}-{again}") }
            })
            .collect()
    }
}
