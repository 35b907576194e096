//! Patterns of repositories and tags.

use std::fmt;
use std::str::FromStr;

use super::name;
use crate::user::User;

/// Stands for the name of the requesting user.
const USER: &str = "${user}";
/// Bytes of a pattern; repository names are not longer.
const LONGEST: usize = 255;

/// A pattern of repositories: components between slashes. `**` stands for any number of components,
/// also none. Within a component, `*` stands for any run of characters and `${user}` for the user's
/// name, of a user `source:name` for what follows the colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// `None` is `**`.
    components: Vec<Option<Vec<Piece>>>,
    /// Whether a component depends on the user.
    names_user: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Star,
    User,
}

impl Pattern {
    /// Whether `repository` matches for `user`. A pattern with `${user}` matches nothing without a
    /// user, or if the name of a local user is not one component. The name of a job, for example,
    /// may be several: that of `gitlab:team/app` is the path of its project.
    pub fn fits(&self, repository: &str, user: Option<&User>) -> bool {
        let user = user.filter(|_| self.names_user).and_then(short_name);
        if let Some(path) = user.filter(|user| user.contains('/')) {
            return self.with_path(path).fits(repository, None);
        }
        wild(
            self.components.iter().map(Option::as_ref),
            repository.as_bytes().split(|byte| *byte == b'/'),
            |pieces, found| one_fits(pieces, found, user),
        )
    }

    /// A repository that matches for `user`, and few other patterns. `None` if there is none, as
    /// for [`Pattern::fits`].
    pub fn example(&self, user: Option<&User>) -> Option<String> {
        let name = user.and_then(short_name).unwrap_or_default();
        let text = self.text.replace("**", "x/y").replace('*', "x").replace(USER, name);
        (name::is_repository(&text) && self.fits(&text, user)).then_some(text)
    }

    /// The pattern with a user's name of several components.
    fn with_path(&self, path: &str) -> Self {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let mut components = Vec::new();
        for component in &self.components {
            let Some(pieces) = component else {
                components.push(None);
                continue;
            };
            let mut current = Vec::new();
            for piece in pieces {
                let Piece::User = piece else {
                    current.push(piece.clone());
                    continue;
                };
                let mut parts = path.split('/');
                current.extend(parts.next().map(literal));
                for part in parts {
                    components.push(Some(std::mem::replace(&mut current, vec![literal(part)])));
                }
            }
            components.push(Some(current));
        }
        Self { text: self.text.clone(), components, names_user: false }
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every repository matches.
    pub fn is_everything(&self) -> bool {
        self.components.iter().all(Option::is_none)
    }

    /// Whether it depends on the user.
    pub fn names_user(&self) -> bool {
        self.names_user
    }
}

impl FromStr for Pattern {
    type Err = String;

    /// # Errors
    /// What is wrong, to follow "found …".
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("a pattern has 1 to {LONGEST} characters"));
        }
        let components = text.split('/').map(component).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), components, names_user: text.contains(USER) })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A pattern of tags: `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern {
    text: String,
    pieces: Vec<Piece>,
}

impl TagPattern {
    /// Whether `tag` matches.
    pub fn fits(&self, tag: &str) -> bool {
        one_fits(&self.pieces, tag.as_bytes(), None)
    }
}

impl FromStr for TagPattern {
    type Err = String;

    /// # Errors
    /// What is wrong, to follow "found …".
    fn from_str(text: &str) -> Result<Self, String> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*');
        match text {
            "" => Err("the pattern of the tag is empty".to_owned()),
            _ if !text.chars().all(letter) || text.starts_with(['.', '-']) => {
                Err(format!("no tag matches {text:?}; only * has a special meaning"))
            }
            _ => Ok(Self { text: text.to_owned(), pieces: pieces(text) }),
        }
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What `${user}` stands for.
fn short_name(user: &User) -> Option<&str> {
    let name = user.as_str()?;
    match name.split_once(':') {
        Some((_source, name)) => Some(name),
        None => Some(name).filter(|name| !name.contains('/')),
    }
}

fn component(text: &str) -> Result<Option<Vec<Piece>>, String> {
    if text == "**" {
        return Ok(None);
    }
    if text.is_empty() {
        return Err("a pattern cannot start or end with / or contain //".to_owned());
    }
    if text.contains("**") {
        return Err("** must be a component of its own".to_owned());
    }
    let pieces = pieces(text);
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    for piece in &pieces {
        if let Piece::Literal(literal) = piece
            && let Some(stranger) = literal.chars().find(|c| !letter(*c))
        {
            return Err(match stranger {
                ':' => "write the repository without host and tag".to_owned(),
                stranger => format!("a repository name cannot contain {stranger:?}"),
            });
        }
    }
    // No replacement of a star or a user can make up for a dot at the start, for example.
    let filled = pieces.iter().map(|piece| match piece {
        Piece::Literal(literal) => literal,
        Piece::Star | Piece::User => "a",
    });
    if !name::is_repository(&filled.collect::<String>()) {
        let habit = if text.contains(".*") { "; write * for any characters" } else { "" };
        return Err(format!("no repository name has a component like {text:?}{habit}"));
    }
    Ok(Some(pieces))
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('*') {
            pieces.push(Piece::Star);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(USER) {
            pieces.push(Piece::User);
            rest = after;
        } else {
            let from = rest.chars().next().map_or(0, char::len_utf8);
            let next = [rest[from..].find('*'), rest[from..].find(USER)];
            let end = next.into_iter().flatten().min().map_or(rest.len(), |at| from + at);
            pieces.push(Piece::Literal(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    pieces
}

/// Whether one component, or a tag, matches.
fn one_fits(pieces: &[Piece], text: &[u8], user: Option<&str>) -> bool {
    if let [Piece::Literal(literal)] = pieces {
        return literal.as_bytes() == text;
    }
    if user.is_none() && pieces.contains(&Piece::User) {
        return false;
    }
    let bytes = pieces.iter().flat_map(|piece| {
        let (star, literal) = match piece {
            Piece::Star => (Some(None), ""),
            Piece::Literal(literal) => (None, literal.as_str()),
            Piece::User => (None, user.unwrap_or_default()),
        };
        star.into_iter().chain(literal.bytes().map(Some))
    });
    wild(bytes, text.iter(), |wanted, found| wanted == *found)
}

/// Whether a text matches a pattern in which `None` matches any run of parts. Backtracks to the
/// last such run only, which is enough, and takes at most the product of both lengths.
fn wild<P: Copy, T: Copy>(
    mut pattern: impl Iterator<Item = Option<P>> + Clone,
    mut text: impl Iterator<Item = T> + Clone,
    fits: impl Fn(P, T) -> bool,
) -> bool {
    let mut run = None;
    loop {
        let here = text.clone();
        let Some(found) = text.next() else { return pattern.all(|part| part.is_none()) };
        match pattern.next() {
            Some(None) => {
                run = Some((pattern.clone(), here.clone()));
                text = here;
            }
            Some(Some(wanted)) if fits(wanted, found) => {}
            _ => {
                let Some((after, taken)) = &mut run else { return false };
                taken.next();
                (pattern, text) = (after.clone(), taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn fits(pattern: &str, repository: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().fits(repository, Some(&User::local("alice").unwrap()))
    }

    #[test]
    fn components() {
        for (pattern, yes, no) in [
            (
                "team-a/**",
                &["team-a", "team-a/x", "team-a/x/y"][..],
                &["team-b/x", "team-a-x", "x/team-a"][..],
            ),
            ("team-a/*", &["team-a/x"], &["team-a", "team-a/x/y"]),
            ("*", &["a", "alpine"], &["a/b"]),
            ("**", &["a", "a/b/c"], &[]),
            ("**/base", &["base", "a/base", "a/b/base"], &["a/base/b", "abase"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/z/z"], &["a", "z", "a/z/b"]),
            ("${user}/**", &["alice", "alice/x"], &["bob/x", "alicea/x"]),
            ("home/${user}-*", &["home/alice-", "home/alice-x"], &["home/alice", "home/bob-x"]),
            ("app-*-*", &["app-a-b", "app-a-b-c", "app--"], &["app-a", "app-a/b-c"]),
            ("a*a", &["aa", "aba", "aaa"], &["a", "ab"]),
        ] {
            for repository in yes {
                assert!(fits(pattern, repository), "{pattern} {repository}");
            }
            for repository in no {
                assert!(!fits(pattern, repository), "{pattern} {repository}");
            }
        }
    }

    #[test]
    fn a_user_is_one_component_and_no_pattern() {
        let own: Pattern = "${user}/**".parse().unwrap();
        for (user, repository) in
            [(None, "a/b"), (Some(&b"a/b"[..]), "a/b/c"), (Some(b"*"), "a/b"), (Some(b"\xff"), "a")]
        {
            let user = user.map(|name| User::local(name).unwrap());
            assert!(!own.fits(repository, user.as_ref()), "{user:?} {repository}");
        }
        assert!(own.names_user() && !own.is_everything());
        assert!("**/**".parse::<Pattern>().unwrap().is_everything());
    }

    #[test]
    fn the_name_of_a_job_may_be_several_components() {
        let fits = |pattern: &str, user: &str, repository: &str| {
            pattern.parse::<Pattern>().unwrap().fits(repository, Some(&User::parse(user).unwrap()))
        };
        for (pattern, repository) in [
            ("${user}/**", "team/app"),
            ("${user}/**", "team/app/web"),
            ("ci/${user}", "ci/team/app"),
            ("ci-${user}-x/*", "ci-team/app-x/web"),
            ("**/${user}", "a/b/team/app"),
        ] {
            assert!(fits(pattern, "gitlab:team/app", repository), "{pattern} {repository}");
        }
        for (pattern, user, repository) in [
            ("${user}/**", "gitlab:team/app", "team/apps"),
            ("${user}/**", "gitlab:team/app", "team"),
            ("${user}/**", "gitlab:team/*", "team/app"),
            ("${user}/**", "gitlab:**/app", "team/app"),
            ("${user}/**", "gitlab:team//app", "team/app"),
            ("${user}/**", "gitlab:/", "team"),
            ("${user}/**", "gitlab:", "team"),
            ("${user}/**", "team/app", "team/app"),
            ("${user}/**", "kubernetes:a:b", "b"),
        ] {
            assert!(!fits(pattern, user, repository), "{pattern} {user} {repository}");
        }
        assert!(fits("${user}/*", "ci:app", "app/web"));
        let own: Pattern = "${user}/*".parse().unwrap();
        let job = User::parse("gitlab:team/app").unwrap();
        assert_eq!(own.example(Some(&job)).as_deref(), Some("team/app/x"));
    }

    #[test]
    fn what_is_no_pattern() {
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a**",
            "**b",
            "A",
            "ä",
            "a b",
            "a:b",
            "$user",
            "${group}",
            "team/.*",
            "team/.+",
            "a..b*",
            "${user}-",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        for bad in ["", "a/b", "a:b", "ä", "${user}", ".*", "-x"] {
            assert!(bad.parse::<TagPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        let release: TagPattern = "v*".parse().unwrap();
        assert!(release.fits("v1.0") && release.fits("v") && !release.fits("latest"));
        assert!("*".parse::<TagPattern>().unwrap().fits("latest"));
        assert!("1.*-RC".parse::<TagPattern>().unwrap().fits("1.2.3-RC"));
    }

    proptest! {
        #[test]
        fn as_the_expression(pattern in r"([ab*]{1,4}|\*\*)(/([ab*]{1,4}|\*\*)){0,3}", repository in "[ab]{1,3}(/[ab]{1,3}){0,4}") {
            if let Ok(parsed) = pattern.parse::<Pattern>() {
                // Each component brings the slash before it, so that `**` may bring none.
                let expression: String = pattern
                    .split('/')
                    .map(|part| match part {
                        "**" => "(/[^/]+)*".to_owned(),
                        part => format!("/{}", part.replace('*', "[^/]*")),
                    })
                    .collect();
                let expression = Regex::new(&format!(r"\A{expression}\z")).unwrap();
                prop_assert_eq!(parsed.fits(&repository, None), expression.is_match(&format!("/{repository}")));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*", repository in ".*") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                pattern.fits(&repository, User::parse(&repository).ok().as_ref());
            }
            _ = text.parse::<TagPattern>().map(|pattern| pattern.fits(&repository));
        }
    }
}
