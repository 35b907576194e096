//! Settings from the environment: `TIDEGATE_<SECTION>_<KEY>`, and `TIDEGATE_<SECTION>` for a
//! section that is a list.

use std::collections::BTreeMap;

use super::keys::{GROUPS, LISTS, SECTIONS};

const PREFIX: &str = "TIDEGATE_";

/// What a misspelt name has in common with the prefix.
const START: &str = "TI";

/// One variable that names a key of a known section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// Variables that are not settings, but that tidegate, its scripts and its compose file read.
const OTHERS: [&str; 6] = ["config", "home", "name", "port", "registry_port", "admin_port"];

/// What tests set, in debug builds.
const TEST: &str = "test_";

/// The variables whose names begin with `TIDEGATE_`.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Those of each known section by their keys, known or not. The empty key stands for a whole
    /// list.
    sections: BTreeMap<&'static str, BTreeMap<String, Variable>>,
    /// Those that begin with no section, by the rest of their names in lower case.
    strays: BTreeMap<String, String>,
    /// Names that may have been meant to begin with `TIDEGATE_`.
    similar: Vec<String>,
}

impl Environment {
    /// Selects the variables that are meant as settings, unlike `TIDEGATE_CONFIG` or
    /// `TIDEGATE_PORT`.
    pub(super) fn new(variables: &[(String, String)]) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let upper = name.to_uppercase();
            let Some(rest) = upper.strip_prefix(PREFIX).map(str::to_lowercase) else {
                if upper.starts_with(START) {
                    environment.similar.push(name.clone());
                }
                continue;
            };
            if OTHERS.contains(&rest.as_str()) || is_service_link(&rest, value) {
                continue;
            }
            if let Some((section, key)) = split(name) {
                let variable = Variable { name: name.clone(), value: value.clone() };
                environment.sections.entry(section).or_default().insert(key, variable);
            } else if !(cfg!(debug_assertions) && rest.starts_with(TEST)) {
                environment.strays.insert(rest, name.clone());
            }
        }
        environment
    }

    /// Removes and returns the variables of one section.
    pub(super) fn take(&mut self, section: &str) -> BTreeMap<String, Variable> {
        self.sections.remove(section).unwrap_or_default()
    }

    /// Removes and returns the variables that begin with no section: the rest of the name in lower
    /// case, and the name.
    pub(super) fn strays(&mut self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.strays)
    }

    /// The names that may be misspelt, but do not begin with `TIDEGATE_`.
    pub(super) fn similar(&mut self) -> Vec<String> {
        std::mem::take(&mut self.similar)
    }

    /// The variables that were not taken: section, key, variable.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'static str, String, Variable)> {
        self.sections
            .into_iter()
            .flat_map(|(section, keys)| keys.into_iter().map(move |(key, variable)| (section, key, variable)))
    }
}

fn split(name: &str) -> Option<(&'static str, String)> {
    let rest = name.strip_prefix(PREFIX)?;
    let matching = SECTIONS.iter().filter_map(|section| {
        let key = rest.strip_prefix(&section.to_uppercase().replace('.', "_"))?;
        let is_whole = key.is_empty() && (LISTS.contains(section) || *section == GROUPS);
        Some((*section, if is_whole { key } else { key.strip_prefix('_')? }))
    });
    let (section, key) = matching.max_by_key(|(section, _)| section.len())?;
    let key = if key.chars().any(char::is_lowercase) { key.to_owned() } else { key.to_lowercase() };
    Some((section, key))
}

/// Whether Kubernetes or Docker has set the variable. Both pass the address of a service or link
/// whose name begins with `tidegate` to every container. For `tidegate-server`, they are
/// `TIDEGATE_SERVER_PORT=tcp://…`, `TIDEGATE_SERVER_SERVICE_HOST` and so on. `rest` is what follows
/// `TIDEGATE_`, in lower case.
fn is_service_link(rest: &str, value: &str) -> bool {
    let within = format!("_{rest}");
    let numbered_port = within.split_once("_port_").is_some_and(|(_, port)| {
        port.starts_with(|c: char| c.is_ascii_digit())
            && ["_tcp", "_udp", "_sctp"].iter().any(|protocol| port.contains(protocol))
    });
    within.ends_with("_service_host")
        || within.ends_with("_service_port")
        || within.contains("_service_port_")
        || numbered_port
        || within.ends_with("_port") && value.contains("://")
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
        assert_eq!(rest(&["TIDEGATE_ROUTE"]), [("route", String::new())]);
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

    fn strays(variables: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment::new(&variables).strays().into_values().collect()
    }

    #[test]
    fn a_service_named_tidegate_sets_no_settings() {
        let service = [
            ("TIDEGATE_SERVICE_HOST", "10.0.0.7"),
            ("TIDEGATE_SERVICE_PORT", "443"),
            ("TIDEGATE_SERVICE_PORT_HTTPS", "443"),
            ("TIDEGATE_PORT", "tcp://10.0.0.7:443"),
            ("TIDEGATE_PORT_443_TCP", "tcp://10.0.0.7:443"),
            ("TIDEGATE_PORT_443_TCP_PROTO", "tcp"),
            ("TIDEGATE_PORT_443_TCP_PORT", "443"),
            ("TIDEGATE_PORT_443_TCP_ADDR", "10.0.0.7"),
        ];
        for name in ["", "EU_", "GROUPS_", "AUTH_PROXY_", "GROUPS_A_"] {
            let renamed: Vec<(String, &str)> = service
                .iter()
                .map(|(variable, value)| (variable.replace("TIDEGATE_", &format!("TIDEGATE_{name}")), *value))
                .collect();
            let variables: Vec<(&str, &str)> =
                renamed.iter().map(|(variable, value)| (variable.as_str(), *value)).collect();
            assert_eq!(strays(&variables), [""; 0]);
            let names: Vec<&str> = variables.iter().map(|(variable, _)| *variable).collect();
            assert_eq!(rest(&names), []);
        }
    }

    #[test]
    fn a_variable_of_no_section_is_a_stray() {
        let names = ["TIDEGATE_SERVR_LISTEN", "TIDEGATE_LISTEN", "TIDEGATE_SERVER", "TIDEGATE_"];
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (*name, "1")).collect();
        assert_eq!(strays(&variables).len(), names.len());
        let ours = [
            "TIDEGATE_CONFIG",
            "TIDEGATE_HOME",
            "TIDEGATE_PORT",
            "TIDEGATE_REGISTRY_PORT",
            "TIDEGATE_ADMIN_PORT",
            "TIDEGATE_NAME",
        ];
        let variables: Vec<(&str, &str)> = ours.iter().map(|name| (*name, "1")).collect();
        assert_eq!(strays(&variables), [""; 0]);
    }
}
