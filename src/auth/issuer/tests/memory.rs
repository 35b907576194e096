//! What is remembered of a token, and for how long.

use std::fs;

use super::*;

#[tokio::test]
async fn a_token_is_verified_once() {
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims());
    let first = verify(&gitlab.issuers, &token).await.unwrap();
    let second = verify(&gitlab.issuers, &token).await.unwrap();
    assert!(first.is_new && !second.is_new);
    assert_eq!((first.person, first.login_ttl), (second.person, second.login_ttl));
    let later = now() + Duration::from_secs(300 + 60);
    assert!(gitlab.issuers.verify(&token, later).await.is_ok());
    let refused = gitlab.issuers.verify(&token, later + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(reason(refused), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_forgotten_after_five_minutes() {
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims());
    for is_new in [true, false, true] {
        assert_eq!(verify(&gitlab.issuers, &token).await.unwrap().is_new, is_new);
        tokio::time::advance(Duration::from_secs(150)).await;
    }
}

#[tokio::test]
async fn an_edit_of_the_keys_ends_what_they_have_verified() {
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims());
    assert!(verify(&gitlab.issuers, &token).await.is_ok());
    let next = Signer::new(Algorithm::ES256, "next");
    write_keys(&gitlab.folder, "gitlab", &[next.jwk()]);
    assert_eq!(
        verify(&gitlab.issuers, &token).await.unwrap_err(),
        "the issuer has no key with the kid of its header"
    );
    assert!(verify(&gitlab.issuers, &next.sign(&claims())).await.is_ok());
    fs::remove_file(gitlab.folder.path("gitlab.json")).unwrap();
    assert!(verify(&gitlab.issuers, &next.sign(&claims())).await.is_ok(), "the last content stays");
}

#[tokio::test]
async fn nothing_that_other_settings_have_let_in_is_remembered() {
    let published = |rest: &str| gitlab(rest).replace("keys = \"gitlab.json\"\n", "ca = \"ca.pem\"\n");
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims());
    assert!(verify(&gitlab.issuers, &token).await.is_ok());
    let narrower = super::gitlab("").replace("team/**", "ops/**");
    let narrower = built(&gitlab.folder, &narrower, Some(&gitlab.issuers));
    assert!(verify(&narrower, &token).await.is_err());
    let (key, authority) = (KeyPair::generate().unwrap(), crate::pki::fixtures::ca_params("root"));
    gitlab.folder.write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let same = built(&gitlab.folder, &published(""), None);
    let again = built(&gitlab.folder, &published(""), Some(&same));
    assert!(Arc::ptr_eq(&same.memory, &again.memory));
    let changed = built(&gitlab.folder, &published("login_ttl = \"2h\""), Some(&same));
    assert!(!Arc::ptr_eq(&same.memory, &changed.memory));
    let wanted = BTreeSet::from(["gitlab:new".to_owned()]);
    let settings = settings(&gitlab.folder, &published(""));
    let other = Issuers::build(&settings, &wanted, &SystemRoots::default(), Some(&same)).unwrap();
    assert!(!Arc::ptr_eq(&same.memory, &other.memory));
}

#[test]
fn a_digest_changes_with_what_an_entry_means() {
    let folder = Folder::new();
    write_keys(&folder, "gitlab", &[Signer::new(Algorithm::ES256, "a").jwk()]);
    write_keys(&folder, "second", &[Signer::new(Algorithm::ES256, "a").jwk()]);
    let digest = |entry: &str| {
        let issuers = built(&folder, &format!("# moved\n{entry}"), None);
        *issuers.all[0].digest()
    };
    let entry = gitlab("user = \"${sub}\"");
    assert_eq!(digest(&entry), digest(&gitlab("")));
    assert_eq!(digest(&entry), digest(&format!("\n{}", entry.replace("gitlab.json", "second.json"))));
    let mut all = vec![digest(&entry)];
    for (line, other) in [
        ("name = \"gitlab\"", "name = \"second\""),
        (URL, "https://second.example"),
        ("[\"other\", ", "[\"others\", "),
        ("team/**", "team/*"),
        ("\"team/**\"", "[\"team/**\", \"ops\"]"),
        ("\"team/**\"", "7"),
        ("\"team/**\"", "\"7\""),
        ("project_path", "\"/project_path\""),
        ("${sub}", "${sub}x"),
        ("user =", "groups = \"g\"\nuser ="),
        ("user =", "login_ttl = \"59m\"\nuser ="),
    ] {
        assert!(entry.contains(line), "{line}");
        let changed = digest(&entry.replacen(line, other, 1));
        assert!(!all.contains(&changed), "{other}");
        all.push(changed);
    }
}

#[test]
fn a_file_of_keys_that_cannot_be_used_stops_the_start() {
    let folder = Folder::new();
    let settings = settings(&folder, &gitlab(""));
    let problem = |keys: &str| {
        folder.write("gitlab.json", keys);
        let built = Issuers::build(&settings, &BTreeSet::new(), &SystemRoots::default(), None);
        built.err().unwrap().to_string()
    };
    assert!(
        problem("{}")
            .contains("gitlab.json: the set of keys cannot be used: it is not a set of JSON Web Keys")
    );
    assert!(
        problem("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}").contains("it has no key that can be used")
    );
    fs::remove_file(folder.path("gitlab.json")).unwrap();
    let missing = Issuers::build(&settings, &BTreeSet::new(), &SystemRoots::default(), None).err().unwrap();
    assert!(
        missing.0[0].missing && missing.to_string().contains("the set of keys does not exist"),
        "{missing}"
    );
}

#[tokio::test]
async fn nobody_is_asked_about_keys_in_a_file() {
    let gitlab = GitLab::new("");
    assert_eq!(gitlab.issuers.probe().await, [("gitlab".to_owned(), Ok("1 key".to_owned()))]);
    assert!(!gitlab.issuers.is_empty() && gitlab.issuers.named("other").is_none());
    let kept = tokio::time::timeout(Duration::ZERO, gitlab.issuers.keep_keys()).await;
    assert!(kept.is_err(), "it goes on for ever");
}
