//! Words that stand for one of a few choices, for readers and printers.

/// Each choice with its word in proxy.toml.
pub(super) type Words<T> = &'static [(&'static str, T)];

/// `"a", "b" or "c"`.
pub(super) fn choices<T>(words: &[(&str, T)]) -> String {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The choice that `text` stands for.
pub(super) fn choose<T: Copy>(words: Words<T>, text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice)
}

/// The word that stands for `choice`.
pub(super) fn word<T: PartialEq>(words: Words<T>, choice: &T) -> &'static str {
    words.iter().find(|(_, known)| known == choice).map_or("", |(word, _)| word)
}
