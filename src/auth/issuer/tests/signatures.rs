//! What is signed, by whom, and how.

use base64::engine::general_purpose::URL_SAFE;
use proptest::prelude::*;

use super::super::key_set::KeySet;
use super::*;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

#[tokio::test]
async fn a_token_of_each_algorithm_is_accepted() {
    let rsa = Signer::new(Algorithm::RS256, "rsa");
    let others = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA].map(|one| Signer::new(one, "other"));
    for signer in RSA.iter().map(|algorithm| rsa.using(*algorithm)).chain(others) {
        let gitlab = GitLab::of(signer, &gitlab(""));
        let accepted = gitlab.verify(&claims()).await.unwrap();
        assert!(accepted.is_new && accepted.login_ttl == Duration::from_hours(1));
        assert_eq!(accepted.person.source, Source::Issuer("gitlab".into()));
        assert_eq!(&accepted.person.binding, gitlab.issuers.named("gitlab").unwrap().digest());
    }
}

#[tokio::test]
async fn alg_confusion() {
    let rsa = Signer::new(Algorithm::RS256, "first");
    let jwk = rsa.jwk();
    let gitlab = GitLab::of(rsa, &gitlab(""));
    let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "first" });
    // The public key as a secret that both know.
    let n = jwk["n"].as_str().unwrap();
    for secret in [n.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(n).unwrap(), jwk.to_string().into_bytes()] {
        let forger = Signer {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(&secret).unwrap(),
            id: "first",
        };
        let forged = forger.sign(&claims());
        assert_eq!(verify(&gitlab.issuers, &forged).await.unwrap_err(), "its algorithm is not accepted");
    }
    for (algorithm, signature) in
        [("none", ""), ("None", ""), ("RS256", ""), ("ES512", "AAAA"), ("rs256", "AAAA")]
    {
        let forged = format!("{}.{}.{signature}", encoded(&header(algorithm)), encoded(&claims()));
        let reason = verify(&gitlab.issuers, &Secret::new(forged.into_bytes())).await.unwrap_err();
        let expected =
            if algorithm == "RS256" { "its signature is wrong" } else { "its algorithm is not accepted" };
        assert_eq!(reason, expected, "{algorithm}");
    }
    let without = gitlab.signer.sign_with(&json!({ "kid": "first" }), &claims());
    assert_eq!(verify(&gitlab.issuers, &without).await.unwrap_err(), "its algorithm is not accepted");
    // Another key of the same kid, in the header.
    let mut with_key = Signer::new(Algorithm::ES256, "first");
    let mut header = with_key.header();
    header["jwk"] = with_key.jwk();
    header["x5c"] = json!(["MIIB"]);
    with_key.id = "first";
    let forged = with_key.sign_with(&header, &claims());
    assert_eq!(
        verify(&gitlab.issuers, &forged).await.unwrap_err(),
        "the key that signed it is for another algorithm"
    );
}

#[tokio::test]
async fn a_key_is_for_its_own_algorithm_alone() {
    let rsa = Signer::new(Algorithm::RS256, "first");
    let mut jwk = rsa.jwk();
    jwk["alg"] = json!("PS256");
    let gitlab = GitLab::of(rsa, &gitlab(""));
    write_keys(&gitlab.folder, "gitlab", &[jwk]);
    let issuers = built(&gitlab.folder, &super::gitlab(""), None);
    let ps256 = gitlab.signer.using(Algorithm::PS256).sign(&claims());
    assert!(verify(&issuers, &ps256).await.is_ok());
    let rs256 = gitlab.signer.sign(&claims());
    assert_eq!(
        verify(&issuers, &rs256).await.unwrap_err(),
        "the key that signed it is for another algorithm"
    );
}

#[test]
fn keys_that_are_not_for_signatures_or_weak_are_left_out() {
    let (p256, rsa) = (Signer::new(Algorithm::ES256, "a").jwk(), Signer::new(Algorithm::RS256, "b").jwk());
    let with = |jwk: &Value, key: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[key] = value;
        jwk
    };
    let set =
        |keys: &[Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|set| set.len());
    for good in [
        p256.clone(),
        with(&p256, "use", json!("sig")),
        with(&p256, "alg", json!("ES256")),
        with(&p256, "key_ops", json!(["verify"])),
        with(&rsa, "alg", json!("RS512")),
        with(&rsa, "x5c", json!(["AAAA"])),
    ] {
        assert_eq!(set(&[good.clone(), json!({ "kty": "new" }), json!(3), json!({})]), Ok(1), "{good}");
    }
    let short = URL_SAFE_NO_PAD.encode([[0; 200].as_slice(), &[0xff; 128]].concat());
    for bad in [
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" }),
        with(&p256, "use", json!("enc")),
        with(&p256, "use", json!(["sig"])),
        with(&p256, "alg", json!("ES384")),
        with(&p256, "alg", json!("ES512")),
        with(&p256, "alg", json!("HS256")),
        with(&p256, "crv", json!("P-521")),
        with(&p256, "crv", json!("P-384")),
        with(&p256, "x", json!("AAAA")),
        with(&p256, "key_ops", json!(["encrypt"])),
        with(&rsa, "alg", json!("RSA-OAEP")),
        with(&rsa, "n", json!(short)),
        with(&rsa, "n", json!("")),
        with(&rsa, "n", json!(URL_SAFE_NO_PAD.encode([0xff; 1025]))),
    ] {
        assert!(set(std::slice::from_ref(&bad)).is_err(), "{bad}");
    }
    assert_eq!(set(&vec![p256.clone(); 64]), Ok(64));
    assert_eq!(set(&vec![p256; 65]).unwrap_err().to_string(), "it has more than 64 keys");
    assert!(KeySet::parse(&vec![b' '; (256 << 10) + 1]).is_err());
    for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn issuer_mix_up() {
    let folder = Folder::new();
    let (first, second) = (Signer::new(Algorithm::ES256, "key"), Signer::new(Algorithm::ES256, "key"));
    write_keys(&folder, "gitlab", &[first.jwk()]);
    write_keys(&folder, "other", &[second.jwk(), Signer::new(Algorithm::EdDSA, "more").jwk()]);
    let other = "https://gitlab.example.com.evil.example";
    let entries = gitlab("") + &entry("other", other, "require = { project_path = \"**\" }");
    let issuers = built(&folder, &entries, None);
    let (ours, theirs) = (claims(), but(json!({ "iss": other })));
    assert!(
        verify(&issuers, &first.sign(&ours)).await.is_ok()
            && verify(&issuers, &second.sign(&theirs)).await.is_ok()
    );
    for (token, issuer) in [(second.sign(&ours), "gitlab"), (first.sign(&theirs), "other")] {
        let refused = issuers.verify(&token, now()).await.unwrap_err();
        let reason = "its signature is wrong".to_owned();
        assert_eq!(refused, RefusedToken::Invalid { issuer: issuer.into(), reason });
    }
    for iss in [
        json!("https://gitlab.example.com/"),
        json!("https://GITLAB.example.com"),
        json!("https://gitlab.example.com:443"),
        json!("http://gitlab.example.com"),
        json!("gitlab"),
        json!(""),
        json!([URL]),
        json!({ "iss": URL }),
        json!(1),
    ] {
        let token = first.sign(&but(json!({ "iss": iss.clone() })));
        assert_eq!(issuers.verify(&token, now()).await, Err(RefusedToken::Untrusted), "{iss}");
        assert!(Issuers::is_token(&token));
    }
}

#[tokio::test]
async fn the_header_names_the_key() {
    let (first, second) = (Signer::new(Algorithm::ES256, "first"), Signer::new(Algorithm::ES256, "second"));
    let gitlab = GitLab::of(first, &gitlab(""));
    let unnamed = gitlab.signer.sign_with(&json!({ "alg": "ES256" }), &claims());
    assert!(verify(&gitlab.issuers, &unnamed).await.is_ok(), "there is only one");
    let made_up = Signer { id: "made-up", ..gitlab.signer.using(Algorithm::ES256) }.sign(&claims());
    assert_eq!(
        verify(&gitlab.issuers, &made_up).await.unwrap_err(),
        "the issuer has no key with the kid of its header"
    );
    for header in [json!({ "alg": "ES256", "kid": 1 }), json!({ "alg": "ES256", "kid": null }), json!([])] {
        let token = gitlab.signer.sign_with(&header, &claims());
        assert!(
            verify(&gitlab.issuers, &token).await.unwrap_err().starts_with("it is not three parts"),
            "{header}"
        );
    }
    let critical = json!({ "alg": "ES256", "kid": "first", "crit": ["exp"], "exp": NOW });
    let critical = gitlab.signer.sign_with(&critical, &claims());
    assert_eq!(verify(&gitlab.issuers, &critical).await.unwrap_err(), "its header has crit");

    write_keys(&gitlab.folder, "gitlab", &[gitlab.signer.jwk(), second.jwk()]);
    let both = built(&gitlab.folder, &super::gitlab(""), None);
    assert!(verify(&both, &second.sign(&claims())).await.is_ok());
    let reason = "its header has no kid, and the issuer has several keys";
    assert_eq!(verify(&both, &unnamed).await.unwrap_err(), reason);
}

#[tokio::test]
async fn tokens_sent_on_as_passwords() {
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims());
    let text = str::from_utf8(token.expose()).unwrap();
    let (signed, _) = text.rsplit_once('.').unwrap();
    let payload = URL_SAFE.encode(claims().to_string());
    let strange = encoded(&json!({ "iss": 3 }));
    for damaged in [
        format!("{text}\n"),
        format!(" {text}"),
        format!("{signed}."),
        format!("{text}!"),
        format!("x.{payload}.y"),
        format!(".{strange}."),
    ] {
        let damaged = Secret::new(damaged.into_bytes());
        assert!(Issuers::is_token(&damaged));
        assert!(gitlab.issuers.verify(&damaged, now()).await.is_err());
    }
    let without = encoded(&json!({ "sub": "a" }));
    for password in ["", "secret", "a.b.c", "..", &format!("a.{without}.c"), &format!("{text}.a"), signed] {
        assert!(!Issuers::is_token(&Secret::new(password.as_bytes())), "{password}");
    }
    assert!(Issuers::is_token(&token));
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_read() {
    let gitlab = GitLab::new("");
    let fits = gitlab.verify(&but(json!({ "more": "a".repeat(11_000) }))).await;
    assert!(fits.is_ok(), "{fits:?}");
    let long = gitlab.reason(&but(json!({ "more": "a".repeat(12_500) }))).await;
    assert_eq!(long, "it is longer than 16384 bytes");
}

#[test]
fn no_mutation_of_a_token_is_accepted() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gitlab = GitLab::new("");
    let token = gitlab.signer.sign(&claims()).expose().to_vec();
    let accepted = |token: &[u8]| runtime.block_on(verify(&gitlab.issuers, &Secret::new(token))).is_ok();
    for at in 0..token.len() {
        for other in *b"AB.=w" {
            let mut changed = token.clone();
            changed[at] = other;
            assert!(changed == token || !accepted(&changed), "byte {at}: {}", char::from(other));
        }
        assert!(!accepted(&token[..at]));
    }
    proptest!(|(at in 0..token.len(), end in 0..token.len(), put in prop::collection::vec(any::<u8>(), 0..4))| {
        let mut changed = token.clone();
        changed.splice(at..end.max(at), put);
        prop_assert!(changed == token || !accepted(&changed));
    });
    assert!(accepted(&token));
}
