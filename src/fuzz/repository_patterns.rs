//! A pattern of repositories, a repository, a user, a pattern of tags and a tag, one a line.
//!
//! A pattern matches as a plain reading of it says, item by item, and only repositories.

use super::pieces::texts;
use crate::registry::pattern::{Pattern, TagPattern};
use crate::user::User;

/// Bytes of an input.
const LONGEST: usize = 120;

/// Checks one input.
pub(super) fn repository_patterns(bytes: &[u8]) {
    let Some([pattern, repository, user, tags, tag]) =
        texts(bytes).filter(|_| bytes.len() <= LONGEST && !bytes.contains(&0))
    else {
        return;
    };
    let user = User::local(user).ok();
    if let Ok(parsed) = pattern.parse::<Pattern>() {
        assert_eq!(parsed.as_str(), pattern);
        let components: Vec<&str> = pattern.split('/').collect();
        let found: Vec<&str> = repository.split('/').collect();
        let expected = is_below(&components, &found, user.as_ref().and_then(User::as_str));
        assert_eq!(parsed.fits(repository, user.as_ref()), expected, "{pattern:?} and {repository:?}");
        if let Some(example) = parsed.example(user.as_ref()) {
            assert!(parsed.fits(&example, user.as_ref()), "{pattern:?} and its example {example:?}");
        }
        if parsed.is_everything() {
            assert!(expected, "{pattern:?} and {repository:?}");
        }
    }
    if let Ok(parsed) = tags.parse::<TagPattern>() {
        assert_eq!(parsed.fits(tag), is_like(tags.as_bytes(), tag.as_bytes()), "{tags:?} and {tag:?}");
    }
}

fn is_below(pattern: &[&str], repository: &[&str], user: Option<&str>) -> bool {
    let user = user.filter(|user| !user.contains('/'));
    matches(pattern, repository, |component| *component == "**", &|component, found| {
        let component = match (component.contains("${user}"), user) {
            (false, _) => (*component).to_owned(),
            // A star in a name stands for itself.
            (true, Some(user)) => component.replace("${user}", &user.replace('*', "\u{0}")),
            (true, None) => return false,
        };
        is_like(component.as_bytes(), found.replace('*', "\u{0}").as_bytes())
    })
}

fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, |byte| *byte == b'*', &|wanted, found| wanted == found)
}

/// Whether `pattern` matches all of `text`, where an `is_any` of it stands for any number of items.
fn matches<T>(pattern: &[T], text: &[T], is_any: fn(&T) -> bool, fits: &dyn Fn(&T, &T) -> bool) -> bool {
    // Whether the pattern so far matches the first `n` items.
    let mut matched: Vec<bool> = (0..=text.len()).map(|length| length == 0).collect();
    for wanted in pattern {
        let mut next = vec![false; matched.len()];
        for length in 0..next.len() {
            let before = length.checked_sub(1);
            next[length] = if is_any(wanted) {
                matched[length] || before.is_some_and(|before| next[before])
            } else {
                before.is_some_and(|before| matched[before] && fits(wanted, &text[before]))
            };
        }
        matched = next;
    }
    matched[text.len()]
}
