use http::Method;
use proptest::prelude::*;

use super::*;
use crate::registry::target;

fn rule(subjects: &[&str], repositories: &[&str], rights: &[&str]) -> AccessRule {
    let subject = |name: &&str| match *name {
        "anonymous" => Subject::Anonymous,
        "*" => Subject::EveryUser,
        name => Subject::User(User::local(name).unwrap()),
    };
    AccessRule {
        place: "proxy.toml:1:1".to_owned(),
        subjects: subjects.iter().map(subject).collect(),
        repositories: repositories.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        rights: rights.iter().map(|name| Rights::named(name).unwrap()).collect(),
        mentions: Vec::new(),
    }
}

fn rules(rules: &[AccessRule]) -> Rules {
    Rules { rules: rules.to_vec(), open: false }
}

fn user(name: &str) -> Identity {
    Identity::from(User::local(name).unwrap())
}

fn known(name: &str) -> Caller {
    Caller { identity: user(name), token: None }
}

const STRANGER: Caller = Caller { identity: Identity::Anonymous, token: None };

fn ask(rules: &Rules, caller: Caller, request: &str) -> Result<(), Denied> {
    let (method, path) = request.split_once(' ').unwrap();
    decide(rules, caller, &target::parse(&method.parse().unwrap(), path)).map(|_| ())
}

fn too_little(repository: &str, missing: Rights) -> Result<(), Denied> {
    Err(Denied::TooLittle(Scope::repository(repository, missing)))
}

const PULL: Rights = Rights::PULL;
const PUSH: Rights = Rights::PUSH;
const MANIFEST: &str = "/v2/team/app/manifests/x";

#[test]
fn rules_add_up() {
    let rules = rules(&[
        rule(&["anonymous"], &["public/**"], &["pull"]),
        rule(&["*"], &["team/**"], &["pull"]),
        rule(&["alice", "bob"], &["team/app", "team/tool"], &["push"]),
        rule(&["alice"], &["**/app"], &["delete"]),
        rule(&["*"], &["${user}/**"], &["pull", "push"]),
    ]);
    for (identity, repository, rights) in [
        (user("alice"), "team/app", Rights::ALL),
        (user("alice"), "team/tool", PULL | PUSH),
        (user("bob"), "team/app", PULL | PUSH),
        (user("carol"), "team/app", PULL),
        (user("carol"), "carol/app", PULL | PUSH),
        (user("carol"), "carol", PULL | PUSH),
        (user("carol"), "alice/app", Rights::NONE),
        (user("alice"), "alice/app", Rights::ALL),
        (user("carol"), "public/x", PULL),
        (user("*"), "team/tool", PULL),
        (user("anonymous"), "team/tool", PULL),
        (Identity::Anonymous, "public/x", PULL),
        (Identity::Anonymous, "team/app", Rights::NONE),
        (Identity::Anonymous, "anonymous/app", Rights::NONE),
        (Identity::from(User::local(b"\xff").unwrap()), "team/app", PULL),
    ] {
        assert_eq!(rules.rights(&identity, repository), rights, "{identity:?} {repository}");
    }
}

#[test]
fn the_rules_that_allow_a_request_are_named_by_their_lines() {
    let written = |place: &str, rule: AccessRule| AccessRule { place: place.to_owned(), ..rule };
    let rules = rules(&[
        written("/etc/tidegate/proxy.toml:3:1", rule(&["*"], &["team/**"], &["pull"])),
        written("/etc/tidegate/proxy.toml:8:1", rule(&["alice"], &["team/a"], &["push"])),
        written("environment: TIDEGATE_ACCESS", rule(&["alice"], &["team/b"], &["pull", "push"])),
        written("/etc/tidegate/proxy.toml:9:1", rule(&["bob"], &["**"], &["delete"])),
    ]);
    let (alice, both) = (user("alice"), Rights::PULL | Rights::PUSH);
    let named = |repository: &str, rights| rules.granting_all(&alice, repository, rights);
    assert_eq!(named("team/a", Rights::PULL).as_deref(), Some("proxy.toml:3"));
    assert_eq!(named("team/a", both).as_deref(), Some("proxy.toml:3, proxy.toml:8"));
    assert_eq!(named("team/b", both).as_deref(), Some("environment: TIDEGATE_ACCESS"));
    assert_eq!(named("other", Rights::PULL), None);
    assert_eq!(super::Rules { rules: Vec::new(), open: false }.granting_all(&alice, "a", both), None);
}

#[test]
fn without_a_rule_every_user_may_everything_and_with_one_nobody_anything_else() {
    let none = rules(&[]);
    assert_eq!(none.rights(&user("alice"), "a"), Rights::ALL);
    assert_eq!(none.rights(&Identity::Anonymous, "a"), Rights::NONE);
    let open = Rules { rules: Vec::new(), open: true };
    assert_eq!(open.rights(&Identity::Anonymous, "a"), Rights::ALL);
    for open in [false, true] {
        let one = Rules { rules: vec![rule(&["alice"], &["b"], &["pull"])], open };
        assert_eq!(one.rights(&user("alice"), "a"), Rights::NONE);
        assert_eq!(one.rights(&Identity::Anonymous, "b"), Rights::NONE);
    }
}

#[test]
fn the_names_of_all_repositories_are_a_right_of_their_own() {
    let rules = rules(&[
        rule(&["alice"], &["a"], &["catalog"]),
        rule(&["root"], &["**"], &["pull", "push", "delete"]),
        rule(&["bob"], &["a/**"], &["pull", "push", "delete"]),
        rule(&["carol"], &["**"], &["push"]),
    ]);
    for (identity, sees) in [
        (user("alice"), true),
        (user("root"), true),
        (user("bob"), false),
        (user("carol"), false),
        (Identity::Anonymous, false),
    ] {
        assert_eq!(rules.has_catalog(&identity), sees, "{identity:?}");
    }
    assert_eq!(rules.rights(&user("alice"), "a"), Rights::NONE, "it gives nothing with a repository");

    let catalog = Scope { resource: Resource::Catalog, rights: Rights::CATALOG };
    let target = target::parse(&http::Method::GET, "/v2/_catalog");
    for (token, sees) in [
        (None, true),
        (Some(vec![catalog]), true),
        (Some(vec![Scope::repository("a", PULL)]), false),
        (Some(vec![]), false),
    ] {
        let caller = Caller { identity: user("alice"), token };
        assert_eq!(decide(&rules, caller.clone(), &target).unwrap().has_catalog(&rules), sees, "{caller:?}");
    }
}

#[test]
fn each_request_needs_its_right() {
    let rules = rules(&[
        rule(&["reader"], &["**"], &["pull"]),
        rule(&["writer"], &["**"], &["pull", "push"]),
        rule(&["blind"], &["**"], &["push"]),
        rule(&["cleaner"], &["**"], &["delete"]),
    ]);
    let blob = format!("/v2/a/blobs/sha256:{}", "0".repeat(64));
    let referrers = format!("/v2/a/referrers/sha256:{}", "0".repeat(64));
    let (tag, tags, start) = ("/v2/a/manifests/x", "/v2/a/tags/list", "/v2/a/blobs/uploads/");
    let upload = "/v2/a/blobs/uploads/u";
    let allowed =
        |name: &str, method: &str, path: &str| ask(&rules, known(name), &format!("{method} {path}")).is_ok();
    for (method, path, who) in [
        ("GET", tag, &["reader", "writer"][..]),
        ("HEAD", tag, &["reader", "writer"]),
        ("GET", &blob, &["reader", "writer"]),
        ("GET", tags, &["reader", "writer"]),
        ("GET", &referrers, &["reader", "writer"]),
        ("PUT", tag, &["writer"]),
        ("POST", start, &["writer"]),
        ("PATCH", upload, &["writer"]),
        ("PUT", upload, &["writer"]),
        ("GET", upload, &["writer"]),
        ("DELETE", upload, &["writer", "blind"]),
        ("DELETE", tag, &["cleaner"]),
        ("DELETE", &blob, &["cleaner"]),
        ("GET", "/v2/", &["reader", "writer", "blind", "cleaner", "nobody"]),
        ("GET", "/v2/_catalog", &["reader", "writer", "blind", "cleaner", "nobody"]),
    ] {
        for name in ["reader", "writer", "blind", "cleaner", "nobody"] {
            assert_eq!(allowed(name, method, path), who.contains(&name), "{name} {method} {path}");
        }
    }
}

#[test]
fn a_refusal_says_what_is_missing() {
    let rules = rules(&[rule(&["alice"], &["team/*"], &["pull"])]);
    let both = PULL | PUSH;
    let put = format!("PUT {MANIFEST}");
    assert_eq!(ask(&rules, known("alice"), &put), too_little("team/app", PUSH));
    assert_eq!(ask(&rules, known("bob"), &put), too_little("team/app", both));
    assert_eq!(
        ask(&rules, known("alice"), &format!("DELETE {MANIFEST}")),
        too_little("team/app", Rights::DELETE)
    );
    let unknown = Err(Denied::Unknown);
    assert_eq!(ask(&rules, STRANGER, &put), unknown);
}

#[test]
fn a_stranger_is_reported_the_same_of_whatever_is_not_public() {
    let rules = rules(&[rule(&["anonymous"], &["public/**"], &["pull"])]);
    assert_eq!(ask(&rules, STRANGER, "GET /v2/public/app/manifests/x"), Ok(()));
    for request in ["GET /v2/", "GET /v2/_catalog", "GET /v2/x", "POST /v2/", "GET /v2/a/manifests/"] {
        assert_eq!(ask(&rules, STRANGER, request), Err(Denied::Unknown), "{request}");
    }
    for request in ["PUT /v2/public/app/manifests/x", "GET /v2/private/manifests/x"] {
        assert_eq!(ask(&rules, STRANGER, request), Err(Denied::Unknown), "{request}");
    }
    assert_eq!(ask(&rules, known("alice"), "GET /v2/x"), Err(Denied::NoPath));
    assert_eq!(ask(&rules, known("alice"), "POST /v2/"), Err(Denied::NoMethod("GET, HEAD")));

    let nobody_is_asked = Rules { open: true, ..rules };
    assert_eq!(ask(&nobody_is_asked, STRANGER, "GET /v2/"), Ok(()));
    assert_eq!(ask(&nobody_is_asked, STRANGER, "GET /v2/x"), Err(Denied::NoPath));
    let pull = ask(&nobody_is_asked, STRANGER, "GET /v2/private/manifests/x");
    assert_eq!(pull, too_little("private", PULL));
}

#[test]
fn a_token_and_the_rules_of_the_moment_both_count() {
    let rules = rules(&[
        rule(&["alice"], &["team/**"], &["pull", "delete"]),
        rule(&["anonymous"], &["public"], &["pull"]),
    ]);
    let holder = |identity, scopes: &[(&str, Rights)]| {
        let scope = |(name, rights): &(&str, Rights)| Scope::repository(name, *rights);
        Caller { identity, token: Some(scopes.iter().map(scope).collect()) }
    };
    let both = PULL | PUSH;
    let alice = |scopes: &[(&str, Rights)]| holder(user("alice"), scopes);
    let (get, put) = (format!("GET {MANIFEST}"), format!("PUT {MANIFEST}"));
    assert_eq!(ask(&rules, alice(&[("team/app", both)]), &get), Ok(()));
    assert_eq!(ask(&rules, alice(&[("team/other", PUSH), ("team/app", PULL)]), &get), Ok(()));
    assert_eq!(ask(&rules, alice(&[("team/app", both)]), &put), too_little("team/app", PUSH));
    assert_eq!(ask(&rules, alice(&[("team/other", both)]), &get), too_little("team/app", PULL));
    assert_eq!(ask(&rules, alice(&[("other/app", both)]), "GET /v2/other/app/manifests/x"), {
        too_little("other/app", PULL)
    });
    assert_eq!(ask(&rules, alice(&[]), "GET /v2/"), Ok(()));
    let delete = format!("DELETE {MANIFEST}");
    assert_eq!(ask(&rules, alice(&[("team/app", both)]), &delete), {
        too_little("team/app", Rights::DELETE)
    });

    let nobody = |scopes: &[(&str, Rights)]| holder(Identity::Anonymous, scopes);
    assert_eq!(ask(&rules, nobody(&[("public", PULL)]), "GET /v2/public/manifests/x"), Ok(()));
    assert_eq!(ask(&rules, nobody(&[("public", both)]), "PUT /v2/public/manifests/x"), {
        too_little("public", PUSH)
    });
    assert_eq!(ask(&rules, nobody(&[]), "GET /v2/x"), Err(Denied::NoPath));
}

#[test]
fn a_permit_extends_as_far_as_the_one_who_has_it() {
    let rules = rules(&[
        rule(&["alice"], &["team/**"], &["pull", "push"]),
        rule(&["alice"], &["base/**"], &["pull"]),
    ]);
    let target = target::parse(&Method::POST, "/v2/team/app/blobs/uploads/");
    let permit = decide(&rules, known("alice"), &target).unwrap();
    assert!(permit.extends(&rules, "base/os", PULL) && !permit.extends(&rules, "base/os", PUSH));
    assert!(!permit.extends(&rules, "secret", PULL));
    let token = Some(vec![Scope::repository("team/app", PULL | PUSH)]);
    let permit = decide(&rules, Caller { token, ..known("alice") }, &target).unwrap();
    assert!(!permit.extends(&rules, "base/os", PULL), "the token does not go there");
}

fn any_rule() -> impl Strategy<Value = AccessRule> {
    let subjects = prop::sample::subsequence(vec!["anonymous", "*", "alice", "bob"], 1..3);
    let patterns = vec!["**", "*", "alice/**", "${user}/**", "*/app", "team/app", "bob/*"];
    let repositories = prop::sample::subsequence(patterns, 1..3);
    let rights = prop::sample::subsequence(vec!["pull", "push", "delete", "catalog"], 1..4);
    (subjects, repositories, rights)
        .prop_map(|(subjects, repositories, rights)| rule(&subjects, &repositories, &rights))
}

fn anybody() -> impl Strategy<Value = Identity> {
    prop::sample::select(vec![Identity::Anonymous, user("alice"), user("bob"), user("carol")])
}

fn repository() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["app", "alice", "alice/app", "bob/app", "carol/x/y", "team/app", "team"])
}

proptest! {
    #[test]
    fn what_all_rules_grant_is_what_each_grants(
        all in prop::collection::vec(any_rule(), 1..6),
        identity in anybody(),
        repository in repository(),
    ) {
        let together = rules(&all).rights(&identity, repository);
        let alone = all.iter().map(|one| rules(std::slice::from_ref(one)).rights(&identity, repository));
        prop_assert_eq!(together, alone.collect::<Rights>());
        prop_assert!(!together.contains(Rights::CATALOG));
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        prop_assert_eq!(together, rules(&backwards).rights(&identity, repository));
        prop_assert_eq!(rules(&all).has_catalog(&identity), rules(&backwards).has_catalog(&identity));
        let granting = rules(&all).granting(&identity, repository).map(|rule| rule.rights).collect::<Rights>();
        prop_assert_eq!(together, granting & Rights::ALL);
    }

    #[test]
    fn what_a_stranger_may_every_user_may(
        all in prop::collection::vec(any_rule(), 1..6),
        identity in anybody(),
        repository in repository(),
    ) {
        let rules = rules(&all);
        let stranger = rules.rights(&Identity::Anonymous, repository);
        prop_assert!(rules.rights(&identity, repository).contains(stranger));
    }

    #[test]
    fn a_token_never_adds(
        all in prop::collection::vec(any_rule(), 1..6),
        identity in anybody(),
        repository in repository(),
        token in prop::sample::subsequence(vec!["pull", "push", "delete"], 0..3),
        method in prop::sample::select(vec!["GET", "PUT", "DELETE"]),
    ) {
        let rules = rules(&all);
        let rights: Rights = token.iter().filter_map(|name| Rights::named(name)).collect();
        let caller = Caller { identity: identity.clone(), token: Some(vec![Scope::repository(repository, rights)]) };
        let request = format!("{method} /v2/{repository}/manifests/x");
        if ask(&rules, caller, &request).is_ok() {
            prop_assert_eq!(ask(&rules, Caller { identity, token: None }, &request), Ok(()));
        }
    }
}
