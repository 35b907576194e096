//! A pattern of repositories, a repository, a user, a pattern of tags and a tag, one a line.
//!
//! A pattern matches as a plain recursive reading of it says, and only repositories.

use super::pieces::texts;
use crate::registry::pattern::{Pattern, TagPattern};
use crate::user::User;

/// Bytes of an input. The recursive reading takes exponential time.
const LONGEST: usize = 120;

/// Checks one input.
pub fn repository_patterns(bytes: &[u8]) {
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
    match (pattern, repository) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=repository.len()).any(|skipped| {
            repository.get(skipped..).is_some_and(|repository| is_below(rest, repository, user))
        }),
        ([component, rest @ ..], [found, others @ ..]) => {
            let user = user.filter(|user| !user.contains('/'));
            let component = match (component.contains("${user}"), user) {
                (false, _) => (*component).to_owned(),
                // A star in a name stands for itself.
                (true, Some(user)) => component.replace("${user}", &user.replace('*', "\u{0}")),
                (true, None) => return false,
            };
            let found = found.replace('*', "\u{0}");
            is_like(component.as_bytes(), found.as_bytes()) && is_below(rest, others, user)
        }
        _ => false,
    }
}

fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            is_like(rest, text) || text.split_first().is_some_and(|(_, text)| is_like(pattern, text))
        }
        ([wanted, rest @ ..], [found, text @ ..]) => wanted == found && is_like(rest, text),
        _ => false,
    }
}
