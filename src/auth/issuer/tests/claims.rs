//! What the claims of a token have to be.

use super::super::flaw::LEEWAY;
use super::*;

#[tokio::test]
async fn audience_confusion() {
    let gitlab = GitLab::new("");
    for good in [json!(AUDIENCE), json!([AUDIENCE]), json!(["x", AUDIENCE]), json!("other")] {
        assert!(gitlab.verify(&but(json!({ "aud": good.clone() }))).await.is_ok(), "{good}");
    }
    let (another, strange) = ("the claim aud is for another service", "and not a text or a list of texts");
    for (bad, reason) in [
        (json!("registry.example.com.evil.example"), another),
        (json!("Registry.example.com"), another),
        (json!("registry.example.com/"), another),
        (json!(""), another),
        (json!([]), another),
        (json!(["x", "y"]), another),
        (json!([AUDIENCE, 1]), strange),
        (json!([[AUDIENCE]]), strange),
        (json!({ "aud": AUDIENCE }), strange),
        (json!(1), strange),
        (json!(true), strange),
    ] {
        let found = gitlab.reason(&but(json!({ "aud": bad.clone() }))).await;
        assert!(found.contains(reason), "{bad}: {found}");
    }
    assert_eq!(gitlab.reason(&but(json!({ "aud": null }))).await, "the claim aud is missing");
}

#[tokio::test]
async fn clock() {
    let gitlab = GitLab::new("");
    for good in [
        json!({ "exp": NOW - LEEWAY }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": NOW as f64 + 0.5 }),
        json!({ "nbf": NOW + LEEWAY }),
        json!({ "iat": NOW + LEEWAY }),
        json!({ "nbf": null, "iat": null }),
        json!({ "iat": 0 }),
    ] {
        assert!(gitlab.verify(&but(good.clone())).await.is_ok(), "{good}");
    }
    let early = |claim| format!("the claim {claim} is a time that has not come");
    let strange = |claim, found| format!("the claim {claim} is {found} and not a time in seconds since 1970");
    for (bad, reason) in [
        (json!({ "exp": NOW - LEEWAY - 1 }), "it has expired".to_owned()),
        (json!({ "exp": 0 }), "it has expired".to_owned()),
        (json!({ "exp": null }), "the claim exp is missing".to_owned()),
        (json!({ "exp": (NOW + 9).to_string() }), strange("exp", "a text")),
        (json!({ "exp": -1 }), strange("exp", "a number")),
        (json!({ "exp": 1e300 }), strange("exp", "a number with a fraction")),
        (json!({ "exp": [NOW + 9] }), strange("exp", "a list")),
        (json!({ "nbf": NOW + LEEWAY + 1 }), early("nbf")),
        (json!({ "nbf": "0" }), strange("nbf", "a text")),
        (json!({ "iat": NOW + LEEWAY + 1 }), early("iat")),
        (json!({ "iat": true }), strange("iat", "true or false")),
    ] {
        assert_eq!(gitlab.reason(&but(bad.clone())).await, reason, "{bad}");
    }
}

#[tokio::test]
async fn a_subject_is_needed() {
    let gitlab = GitLab::new("user = \"${project_path}\"");
    for (bad, reason) in [
        (json!(null), "the claim sub is missing"),
        (json!(""), "the claim sub is empty"),
        (json!(7), "the claim sub is a number and not a text"),
        (json!(["a"]), "the claim sub is a list and not a text"),
    ] {
        assert_eq!(gitlab.reason(&but(json!({ "sub": bad }))).await, reason);
    }
}

#[tokio::test]
async fn types_of_claims() {
    let conditions =
        r#"require = { ref_protected = "true", project_id = [22, 23], admin = false, "/a/b" = ["x*", 5] }"#;
    let gitlab = GitLab::of(Signer::new(Algorithm::ES256, "first"), &entry("gitlab", URL, conditions));
    let good = json!({ "admin": false, "a": { "b": "xyz" } });
    assert!(gitlab.verify(&but(good.clone())).await.is_ok());
    let with = |changes: Value| {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        but(all)
    };
    assert!(gitlab.verify(&with(json!({ "project_id": 23, "a": { "b": 5 } }))).await.is_ok());
    let other = |claim| format!("the claim {claim} is not what auth.issuer.require asks for");
    for (changes, reason) in [
        (
            json!({ "ref_protected": true }),
            "the claim ref_protected is true or false and not a text".to_owned(),
        ),
        (json!({ "ref_protected": "True" }), other("ref_protected")),
        (json!({ "project_id": "22" }), "the claim project_id is a text and not a whole number".to_owned()),
        (
            json!({ "project_id": 22.5 }),
            "the claim project_id is a number with a fraction and not a whole number".to_owned(),
        ),
        (json!({ "project_id": 24 }), other("project_id")),
        (json!({ "project_id": u64::MAX }), other("project_id")),
        (json!({ "project_id": [22] }), "the claim project_id is a list and not a whole number".to_owned()),
        (json!({ "admin": "false" }), "the claim admin is a text and not true or false".to_owned()),
        (json!({ "admin": 0 }), "the claim admin is a number and not true or false".to_owned()),
        (json!({ "admin": null }), "the claim admin is missing".to_owned()),
        (json!({ "a": { "b": "y" } }), other("/a/b")),
        (json!({ "a": "xyz" }), "the claim /a/b is missing".to_owned()),
        (
            json!({ "a": { "b": { "c": "hunter2" } } }),
            "the claim /a/b is an object and not a text".to_owned(),
        ),
    ] {
        assert_eq!(gitlab.reason(&with(changes.clone())).await, reason, "{changes}");
    }
    let null = with(json!({ "a": { "b": null } }));
    assert_eq!(gitlab.reason(&null).await, "the claim /a/b is null and not a text");
}

#[tokio::test]
async fn every_requirement_counts() {
    let conditions = "require = { project_path = [\"team/*\", \"ops/**\"], ref = \"main\" }";
    let gitlab = GitLab::of(Signer::new(Algorithm::ES256, "first"), &entry("gitlab", URL, conditions));
    for (path, branch, is_right) in [
        ("team/app", "main", true),
        ("ops/a/b", "main", true),
        ("team/app", "other", false),
        ("team/a/b", "main", false),
        ("xteam/app", "main", false),
    ] {
        let verified = gitlab.verify(&but(json!({ "project_path": path, "ref": branch }))).await;
        assert_eq!(verified.is_ok(), is_right, "{path} {branch}");
    }
}
