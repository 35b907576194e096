//! What the answer of a service means.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::user::{BadName, Groups, User};

/// How the names of the groups begin in rules, before a colon.
pub(super) const SOURCE: &str = "http";
/// Groups that are read.
const MOST_GROUPS: usize = 200;

/// The fields of an answer that are read.
pub(super) struct Fields {
    pub(super) user: HeaderName,
    pub(super) groups: Option<HeaderName>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The password is right. The user is `None` if the answer names nobody.
    Right(Option<User>, Groups),
    /// The password is not accepted: the reason, for the log.
    Wrong(&'static str),
}

/// Why an answer says nothing about the password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer has {0} twice")]
    Twice(HeaderName),
    #[error("its answer has a {0} that cannot be: {1}")]
    Name(HeaderName, BadName),
}

/// `wanted` are the groups that are kept.
pub(super) fn read(
    status: StatusCode,
    headers: &HeaderMap,
    fields: &Fields,
    wanted: &BTreeSet<String>,
) -> Result<Answer, Fault> {
    if status == StatusCode::UNAUTHORIZED {
        Ok(Answer::Wrong("the service does not accept the password"))
    } else if status == StatusCode::FORBIDDEN {
        Ok(Answer::Wrong("the service does not let the user in"))
    } else if status.is_redirection() {
        Ok(Answer::Wrong("the service redirects, as to a login page"))
    } else if status.is_success() {
        let groups = fields.groups.as_ref().map(|field| groups(headers, field, wanted));
        Ok(Answer::Right(user(headers, &fields.user)?, groups.unwrap_or_default()))
    } else {
        Err(Fault::Status(status))
    }
}

fn user(headers: &HeaderMap, field: &HeaderName) -> Result<Option<User>, Fault> {
    let mut values = headers.get_all(field).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // Whoever reads the first and whoever reads the last would see two users.
    if values.next().is_some() {
        return Err(Fault::Twice(field.clone()));
    }
    User::local(value.as_bytes()).map(Some).map_err(|bad| Fault::Name(field.clone(), bad))
}

/// The groups of a list that may be spread over several fields (RFC 9110, section 5.3).
fn groups(headers: &HeaderMap, field: &HeaderName, wanted: &BTreeSet<String>) -> Groups {
    let names = headers.get_all(field).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()).take(MOST_GROUPS);
    Groups::of(SOURCE, names.filter_map(|name| str::from_utf8(name).ok()), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn answer(status: u16, fields: &[(&'static str, &[u8])]) -> Result<Answer, Fault> {
        let headers = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), http::HeaderValue::from_bytes(value).unwrap())
        });
        let of = Fields {
            user: HeaderName::from_static("remote-user"),
            groups: Some(HeaderName::from_static("remote-groups")),
        };
        let wanted = wanted(&["http:dev", "http:team a", "ldap:ops"]);
        // Not `collect`, which keeps the last field of a name.
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| _ = map.append(name, value));
        read(StatusCode::from_u16(status).unwrap(), &map, &of, &wanted)
    }

    #[test]
    fn the_status_says_whether_the_password_is_right() {
        for status in [200, 204, 299] {
            assert_eq!(answer(status, &[]), Ok(Answer::Right(None, Groups::default())), "{status}");
        }
        for status in [401, 403, 301, 302, 303, 304, 307, 308] {
            assert!(matches!(answer(status, &[]), Ok(Answer::Wrong(_))), "{status}");
        }
        for status in [101, 400, 404, 407, 429, 431, 500, 502, 503, 504, 999] {
            let expected = Err(Fault::Status(StatusCode::from_u16(status).unwrap()));
            assert_eq!(answer(status, &[("remote-user", b"alice")]), expected, "{status}");
        }
    }

    #[test]
    fn the_answer_may_name_the_user_once() {
        let named = |user: &[u8]| match answer(200, &[("remote-user", user)]) {
            Ok(Answer::Right(Some(user), _)) => Ok(user),
            Err(fault) => Err(fault),
            other => panic!("{other:?}"),
        };
        for name in [&b"alice"[..], b"a b", b"j\xc3\xb6rg", b"j\xf6rg", b"a, b"] {
            assert_eq!(named(name).unwrap().as_bytes(), name);
        }
        for name in [&b""[..], b"gitlab:team", b"a\tb", b" alice", b"alice ", &[b'x'; 256]] {
            assert!(matches!(named(name), Err(Fault::Name(..))), "{name:?}");
        }
        let twice = [("remote-user", &b"alice"[..]), ("remote-user", b"alice")];
        assert!(matches!(answer(200, &twice), Err(Fault::Twice(_))));
        let wrong = [("remote-user", &b"a:b"[..])];
        assert!(matches!(answer(401, &wrong), Ok(Answer::Wrong(_))), "nobody is let in");
    }

    #[test]
    fn groups_that_no_rule_names_are_dropped() {
        let groups = |fields: &[(&'static str, &[u8])]| match answer(200, fields) {
            Ok(Answer::Right(_, groups)) => groups.iter().map(str::to_owned).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(groups(&[("remote-groups", b"dev,ops , team a,,x")]), ["http:dev", "http:team a"]);
        let two = [("remote-groups", &b"ops"[..]), ("remote-groups", b"\xff, dev")];
        assert_eq!(groups(&two), ["http:dev"]);
        for none in [&b""[..], b"Dev", b"http:dev", b"ldap:ops", b"dev;ops", b"\"dev\""] {
            assert_eq!(groups(&[("remote-groups", none)]), [""; 0], "{none:?}");
        }
        let many = |before: usize| [vec![&b"x"[..]; before].join(&b','), b",dev".to_vec()].concat();
        assert_eq!(groups(&[("remote-groups", &many(MOST_GROUPS - 1))]), ["http:dev"]);
        assert_eq!(groups(&[("remote-groups", &many(MOST_GROUPS))]), [""; 0]);
    }
}
