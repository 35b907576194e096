//! Which user agents are let in at all.
//!
//! Docker before 1.6 speaks to a registry of the second API version as if it were of the first; the registry
//! documentation's recipe turns such clients away.

use regex::bytes::Regex;

/// A deny list and an allow list of expressions over the `User-Agent` field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agents {
    deny: Vec<Regex>,
    allow: Vec<Regex>,
}

impl Agents {
    /// Takes the expressions as they are configured. They are searched for, not anchored.
    pub(crate) fn new(deny: Vec<Regex>, allow: Vec<Regex>) -> Self {
        Self { deny, allow }
    }

    /// Whether a client with this `User-Agent` may go on: one that is on no deny list, or on the allow list,
    /// or names itself not at all.
    pub(crate) fn admits(&self, user_agent: Option<&[u8]>) -> bool {
        let Some(agent) = user_agent else { return true };
        let any = |list: &[Regex]| list.iter().any(|expression| expression.is_match(agent));
        !any(&self.deny) || any(&self.allow)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recipe() -> Agents {
        let list = |list: &[&str]| list.iter().map(|expression| Regex::new(expression).unwrap()).collect();
        Agents::new(list(&[r"^docker/1\.[345]", "^Go "]), list(&[r"^docker/1\.5\.[0-9]-dev"]))
    }

    #[test]
    fn the_table_of_the_recipe() {
        for agent in
            ["docker/1.3.0", "docker/1.4.1", "docker/1.5.0", "docker/1.5.0-rc1", "Go 1.1 package http"]
        {
            assert!(!recipe().admits(Some(agent.as_bytes())), "{agent}");
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
            assert!(recipe().admits(Some(agent.as_bytes())), "{agent}");
        }
        assert!(recipe().admits(None));
    }

    #[test]
    fn empty_lists_admit_everyone() {
        assert!(Agents::default().admits(Some(b"docker/1.3.0")));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_matched() {
        assert!(!recipe().admits(Some(b"docker/1.3.0 \xff")));
        assert!(recipe().admits(Some(b"\xffdocker/1.3.0")));
    }

    proptest! {
        #[test]
        fn never_panics(agent in prop::collection::vec(any::<u8>(), 0..60)) {
            recipe().admits(Some(&agent));
        }
    }
}
