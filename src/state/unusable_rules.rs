//! Rules that grant what clients cannot use as it is, or that match nothing.

use crate::access::{Identity, Rules};
use crate::config::{
    AccessRule, AuthMode, Catalog, ClientCertificate, Config, ImmutableTags, Subject, Verify,
};
use crate::problem::Problem;
use crate::registry::rights::Rights;
use crate::user::User;

/// Warns about such rules. `certified` are the host names of the certificates.
pub(super) fn warnings(config: &Config, rules: &Rules, certified: &[String]) -> Vec<Problem> {
    let hosts = || config.server.names.iter().chain(certified);
    let of_rule = |rule| {
        let idle = catalog_that_is_off(rule, config.policy.catalog);
        with_host(rule, hosts()).into_iter().chain(push_without_pull(rule, rules)).chain(idle)
    };
    let of_tags = |tags: &ImmutableTags| {
        let (repositories, rest) = (&tags.repositories, without_host(tags.repositories.as_str(), hosts())?);
        let message = format!(
            "\"{repositories}:{tags}\" begins with the host of this registry, which is not a part of a repository; \
             write \"{rest}:{tags}\"",
            tags = tags.tags
        );
        Some(Problem::new("policy.immutable_tags", message))
    };
    let rules = config.access.iter().flat_map(of_rule);
    let tags = config.policy.immutable_tags.iter().filter_map(of_tags);
    anonymous_without_tokens(config).into_iter().chain(rules).chain(tags).collect()
}

/// What follows the host and its `/` in a name or pattern of repositories that begins with one of
/// `hosts`. A host without a dot may well be the name of a folder.
pub(crate) fn without_host<'a>(
    name: &'a str,
    mut hosts: impl Iterator<Item = &'a String>,
) -> Option<&'a str> {
    let (host, rest) = name.split_once('/')?;
    hosts.any(|known| known.contains('.') && known == host).then_some(rest)
}

fn with_host<'a>(rule: &'a AccessRule, hosts: impl Iterator<Item = &'a String> + Clone) -> Option<Problem> {
    let mut patterns = rule.repositories.iter();
    let (pattern, rest) =
        patterns.find_map(|pattern| Some((pattern, without_host(pattern.as_str(), hosts.clone())?)))?;
    let message = format!(
        "access.repositories: \"{pattern}\" begins with the host of this registry, which is not a part of a \
         repository; write \"{rest}\""
    );
    Some(Problem::new(&rule.place, message))
}

fn catalog_that_is_off(rule: &AccessRule, catalog: Catalog) -> Option<Problem> {
    let is_idle = catalog == Catalog::Off && rule.rights.contains(Rights::CATALOG);
    let message =
        "access.actions: \"catalog\" has no effect while policy.catalog is \"off\"; remove one of them";
    is_idle.then(|| Problem::new(&rule.place, message))
}

/// docker asks for `/v2/` first. The 401 there makes it look for a password, and it gives up if it
/// has none.
fn anonymous_without_tokens(config: &Config) -> Option<Problem> {
    let is_open = |rule: &&AccessRule| rule.subjects.contains(&Subject::Anonymous);
    let has_certificate = config.tls.client.verify == Verify::Required
        && config.auth.client_certificate == ClientCertificate::Either;
    let needs_password = config.auth.mode == AuthMode::Basic && !has_certificate;
    let rule = config.access.iter().find(is_open).filter(|_| needs_password)?;
    let message = "access.users: docker never pulls without a password while auth.mode is \"basic\", so \"anonymous\" \
                   is of use only to clients such as podman, skopeo and curl; for docker, set auth.mode = \"token\"";
    Some(Problem::new(&rule.place, message))
}

/// A push needs `pull` as well, from this rule or from another one. Tried with one name for each
/// pattern.
fn push_without_pull(rule: &AccessRule, rules: &Rules) -> Option<Problem> {
    let lacking = rule.subjects.iter().find_map(|subject| {
        let (identity, name) = match subject {
            Subject::Anonymous => (Identity::Anonymous, "anonymous".to_owned()),
            Subject::EveryUser => (User::local("some-user").ok().into(), "\"*\"".to_owned()),
            Subject::Issuer(name) => {
                (User::parse(format!("{name}:some-job")).ok().into(), format!("\"{name}:*\""))
            }
            Subject::Group(name) => {
                let user = User::local("some-user").ok()?;
                (Identity::User(user, [name.clone()].into_iter().collect()), format!("\"@{name}\""))
            }
            Subject::User(user) => (user.clone().into(), user.to_string()),
        };
        let pattern = rule.repositories.iter().find(|pattern| {
            pattern.example(identity.user()).is_some_and(|repository| {
                let rights = rules.rights(&identity, &repository);
                rights.contains(Rights::PUSH) && !rights.contains(Rights::PULL)
            })
        })?;
        Some((name, pattern))
    });
    let (name, pattern) = lacking.filter(|_| rule.rights.contains(Rights::PUSH))?;
    let message = format!(
        "access.actions: a push needs \"pull\" too, which no rule gives {name} in \"{pattern}\"; \
         write actions = [\"pull\", \"push\"]"
    );
    Some(Problem::new(&rule.place, message))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn warnings_of(mode: &str, rules: &str) -> Vec<String> {
        let text = format!("[tls]\ncertificate = 'c'\nkey = 'k'\n[auth]\nmode = '{mode}'\n{rules}");
        let config = Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap();
        let certified = ["registry.example.com".to_owned(), "registry".to_owned()];
        warnings(&config, &Rules::new(&config), &certified).iter().map(ToString::to_string).collect()
    }

    fn rule(users: &str, repositories: &str, actions: &str) -> String {
        format!("[[access]]\nusers = [{users}]\nrepositories = [{repositories}]\nactions = [{actions}]\n")
    }

    #[test]
    fn anonymous_pulls_in_basic_mode_are_reported_once() {
        let rules = rule("'anonymous'", "'public/**'", "'pull'").repeat(2);
        let told = warnings_of("basic", &rules);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("proxy.toml:6:1: access.users: docker never pulls without a password"));
        assert!(told[0].ends_with("for docker, set auth.mode = \"token\""), "{told:?}");
        assert_eq!(warnings_of("token", &rules), [""; 0]);
        assert_eq!(warnings_of("off", &rules), [""; 0]);
        let certificates = "[tls.client]\nverify = 'required'\nca = 'ca'\n";
        assert_eq!(warnings_of("basic", &format!("{rules}{certificates}")), [""; 0]);
        assert_eq!(warnings_of("basic", &rule("'*'", "'public/**'", "'pull'")), [""; 0]);
    }

    #[test]
    fn a_push_that_lacks_pull_is_reported() {
        for (users, repositories, whom) in [
            ("'ci'", "'team/**'", "ci in \"team/**\""),
            ("'*'", "'**'", "\"*\" in \"**\""),
            ("'*'", "'${user}/*'", "\"*\" in \"${user}/*\""),
            ("'alice', 'ci'", "'a', 'b-*/c'", "alice in \"a\""),
        ] {
            let told = warnings_of("token", &rule(users, repositories, "'push'"));
            let wanted = format!(
                "proxy.toml:6:1: access.actions: a push needs \"pull\" too, which no rule gives {whom}; \
                 write actions = [\"pull\", \"push\"]"
            );
            assert_eq!(told, [wanted]);
        }
    }

    #[test]
    fn pull_may_come_from_another_rule() {
        let push = rule("'ci'", "'team/app', 'team/x-*/y'", "'push', 'delete'");
        for (users, repositories, actions) in [
            ("'ci'", "'team/**'", "'pull'"),
            ("'*'", "'**'", "'*'"),
            ("'anonymous'", "'team/*', 'team/*/*'", "'pull'"),
        ] {
            let both = format!("{push}{}", rule(users, repositories, actions));
            assert_eq!(warnings_of("token", &both), [""; 0], "{both}");
        }
        let other = format!("{push}{}", rule("'bob'", "'**'", "'pull'"));
        assert_eq!(warnings_of("token", &other).len(), 1);
        let narrow = format!("{push}{}", rule("'ci'", "'team/app'", "'pull'"));
        assert!(warnings_of("token", &narrow)[0].contains("no rule gives ci in \"team/x-*/y\""));
    }

    #[test]
    fn a_pattern_with_the_host_is_reported() {
        let message = |pattern: &str, rest: &str| {
            format!(
                "\"{pattern}\" begins with the host of this registry, which is not a part of a repository; write \
                 \"{rest}\""
            )
        };
        let told = warnings_of("token", &rule("'ci'", "'a', 'registry.example.com/team/**'", "'pull'"));
        let expected = message("registry.example.com/team/**", "team/**");
        assert_eq!(told, [format!("proxy.toml:6:1: access.repositories: {expected}")]);
        assert_eq!(warnings_of("token", &rule("'ci'", "'registry/**', 'other.test/**'", "'pull'")), [""; 0]);
        let tags = "[policy]\nimmutable_tags = ['registry.example.com/**:v*']\n";
        let expected = message("registry.example.com/**:v*", "**:v*");
        assert_eq!(warnings_of("token", tags), [format!("policy.immutable_tags: {expected}")]);
    }

    #[test]
    fn the_right_to_a_catalog_that_is_off_is_reported() {
        let rule = rule("'ci'", "'**'", "'catalog'");
        let told = warnings_of("token", &format!("{rule}[policy]\ncatalog = 'off'\n"));
        let message = "\"catalog\" has no effect while policy.catalog is \"off\"; remove one of them";
        assert_eq!(told, [format!("proxy.toml:6:1: access.actions: {message}")]);
        assert_eq!(warnings_of("token", &rule), [""; 0]);
    }

    #[test]
    fn nobody_can_use_a_pattern_that_their_name_does_not_fit() {
        assert_eq!(warnings_of("token", &rule("'Alice'", "'${user}/**'", "'push'")), [""; 0]);
    }
}
