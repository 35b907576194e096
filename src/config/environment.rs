//! Settings from the environment: `TIDEGATE_<SECTION>_<KEY>`, and `TIDEGATE_ACCESS` for a section
//! that is a list.

use std::collections::BTreeMap;

use super::keys::{ACCESS, GROUPS, SECTIONS};

const PREFIX: &str = "TIDEGATE_";

/// One variable that names a key of a known section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// The variables of each known section by their keys, known or not. The empty key stands for a
/// whole list.
#[derive(Debug, Default)]
pub(super) struct Environment(BTreeMap<&'static str, BTreeMap<String, Variable>>);

impl Environment {
    /// Selects the variables that begin with a known section, unlike `TIDEGATE_CONFIG` or
    /// `TIDEGATE_PORT`.
    pub(super) fn new(variables: &[(String, String)]) -> Self {
        let mut sections: BTreeMap<&'static str, BTreeMap<String, Variable>> = BTreeMap::new();
        for (name, value) in variables {
            let Some((section, key)) = split(name) else { continue };
            if is_service_link(&key, value) {
                continue;
            }
            let variable = Variable { name: name.clone(), value: value.clone() };
            sections.entry(section).or_default().insert(key, variable);
        }
        Self(sections)
    }

    /// Removes and returns the variables of one section.
    pub(super) fn take(&mut self, section: &str) -> BTreeMap<String, Variable> {
        self.0.remove(section).unwrap_or_default()
    }

    /// The variables that were not taken: section, key, variable.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'static str, String, Variable)> {
        self.0
            .into_iter()
            .flat_map(|(section, keys)| keys.into_iter().map(move |(key, variable)| (section, key, variable)))
    }
}

fn split(name: &str) -> Option<(&'static str, String)> {
    let rest = name.strip_prefix(PREFIX)?;
    let matching = SECTIONS.iter().filter_map(|section| {
        let key = rest.strip_prefix(&section.to_uppercase().replace('.', "_"))?;
        let is_whole = key.is_empty() && matches!(*section, ACCESS | GROUPS);
        Some((*section, if is_whole { key } else { key.strip_prefix('_')? }))
    });
    let (section, key) = matching.max_by_key(|(section, _)| section.len())?;
    let key = if key.chars().any(char::is_lowercase) { key.to_owned() } else { key.to_lowercase() };
    Some((section, key))
}

/// Whether Kubernetes or Docker has set the variable. Both pass the address of a service or link
/// named `tidegate-server` to every container, as `TIDEGATE_SERVER_PORT=tcp://…`,
/// `TIDEGATE_SERVER_SERVICE_HOST` and so on.
fn is_service_link(key: &str, value: &str) -> bool {
    let numbered_port = key
        .strip_prefix("port_")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("_"));
    matches!(key, "service_host" | "service_port")
        || key.starts_with("service_port_")
        || numbered_port
        || key == "port" && value.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(names: &[&str]) -> Vec<(&'static str, String)> {
        let variables: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "tcp://x".to_owned())).collect();
        Environment::new(&variables).rest().map(|(section, key, _)| (section, key)).collect()
    }

    #[test]
    fn only_variables_of_known_sections_are_taken() {
        assert_eq!(
            rest(&["TIDEGATE_CONFIG", "TIDEGATE_PORT", "TIDEGATE_SERVICE_HOST", "SERVER_LISTEN", "HOME"]),
            []
        );
        assert_eq!(rest(&["TIDEGATE_USER_AGENTS_DENY"]), [("user_agents", "deny".to_owned())]);
        assert_eq!(rest(&["TIDEGATE_TLS_CLIENT_CA"]), [("tls.client", "ca".to_owned())]);
        assert_eq!(rest(&["TIDEGATE_AUTH_THROTTLE_DELAY"]), [("auth.throttle", "delay".to_owned())]);
        assert_eq!(rest(&["TIDEGATE_ACCESS", "TIDEGATE_POLICY"]), [("access", String::new())]);
        assert_eq!(rest(&["TIDEGATE_GROUPS"]), [("groups", String::new())]);
        assert_eq!(rest(&["TIDEGATE_SERVER_Listen"]), [("server", "Listen".to_owned())]);
    }

    #[test]
    fn addresses_of_services_are_not_settings() {
        assert_eq!(
            rest(&[
                "TIDEGATE_SERVER_PORT",
                "TIDEGATE_SERVER_SERVICE_HOST",
                "TIDEGATE_SERVER_SERVICE_PORT_HTTPS",
                "TIDEGATE_SERVER_PORT_443_TCP_ADDR",
            ]),
            []
        );
        assert_eq!(rest(&["TIDEGATE_SERVER_PORTS"]), [("server", "ports".to_owned())]);
    }
}
