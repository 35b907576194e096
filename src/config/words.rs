//! Words that stand for one of a few choices, and suggestions for misspelt ones.

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

/// The candidate that differs from `name` by one letter.
pub(super) fn slip<'c>(name: &str, mut candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates.find(|candidate| strsim::damerau_levenshtein(name, candidate) == 1)
}

/// The candidate that is most similar to `name`, if any is similar enough.
pub(super) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let name = name.to_lowercase().replace('-', "_");
    let length = name.chars().count();
    let allowed = |candidate: &str| (length.max(candidate.len()) / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
