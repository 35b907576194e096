//! Which user agents are let in at all.
//!
//! Docker before 1.6 mistakes a registry of API version 2 for one of version 1; the recipe in the
//! registry's documentation turns such clients away.

use regex::bytes::Regex;

use crate::config::UserAgents;

/// Whether a client with this `User-Agent` is let in: it matches nothing on the deny list, or
/// something on the allow list, or sends no such field. Expressions are searched for, not anchored.
pub(crate) fn admits(settings: &UserAgents, user_agent: Option<&[u8]>) -> bool {
    let Some(agent) = user_agent else { return true };
    let any = |list: &[Regex]| list.iter().any(|expression| expression.is_match(agent));
    !any(&settings.deny) || any(&settings.allow)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    fn settings(deny: &[&str], allow: &[&str]) -> UserAgents {
        let list = |list: &[&str]| list.iter().map(|expression| Regex::new(expression).unwrap()).collect();
        UserAgents { deny: list(deny), allow: list(allow), status: StatusCode::NOT_FOUND }
    }

    fn recipe() -> UserAgents {
        settings(&[r"^docker/1\.[345]", "^Go "], &[r"^docker/1\.5\.[0-9]-dev"])
    }

    #[test]
    fn the_table_of_the_recipe() {
        for agent in
            ["docker/1.3.0", "docker/1.4.1", "docker/1.5.0", "docker/1.5.0-rc1", "Go 1.1 package http"]
        {
            assert!(!admits(&recipe(), Some(agent.as_bytes())), "{agent}");
        }
        for agent in [
            "docker/1.5.0-dev",
            "docker/1.6.0",
            "docker/1.6.0-rc5",
            "docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.1 os/linux arch/amd64",
            "Go-http-client/1.1",
            "containerd/v2.0.0",
            "curl/7.88.1 docker/1.3.0",
            "",
        ] {
            assert!(admits(&recipe(), Some(agent.as_bytes())), "{agent}");
        }
        assert!(admits(&recipe(), None));
    }

    #[test]
    fn empty_lists_admit_everyone() {
        assert!(admits(&settings(&[], &[]), Some(b"docker/1.3.0")));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_matched() {
        assert!(!admits(&recipe(), Some(b"docker/1.3.0 \xff")));
        assert!(admits(&recipe(), Some(b"\xffdocker/1.3.0")));
    }

    proptest! {
        #[test]
        fn never_panics(agent in prop::collection::vec(any::<u8>(), 0..60)) {
            admits(&recipe(), Some(&agent));
        }
    }
}
