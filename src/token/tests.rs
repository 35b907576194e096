use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512,
    PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use serde_json::{Value, json};

use super::issue::NotIssued;
use super::key::Key;
use super::login::{Ended, RefusedLogin};
use super::revoked;
use super::tokens::Tokens;
use super::verify::Invalid;
use crate::auth::Htpasswd;
use crate::config;
use crate::header::authority::Authority;
use crate::pki::fixtures::{Folder, traditional};
use crate::registry::grant::AskedScopes;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::secret::Secret;
use crate::user::User;

const SERVICE: &str = "registry.example.com";
const MINUTE: Duration = Duration::from_mins(1);

fn settings(key: Option<PathBuf>) -> config::Token {
    config::Token {
        service: None,
        issuer: "tidegate".to_owned(),
        key,
        certificate: None,
        ttl: 5 * MINUTE,
        refresh_ttl: Duration::from_hours(24),
    }
}

fn built(settings: &config::Token) -> Tokens {
    Tokens::build(settings, None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn with_key(pem: &str) -> (Folder, Tokens) {
    let folder = Folder::new();
    let key = folder.write("token.key", pem);
    let tokens = built(&settings(Some(key)));
    (folder, tokens)
}

fn made(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn scopes() -> Vec<Scope> {
    vec![
        Scope::repository("team/app", Rights::PULL | Rights::PUSH),
        Scope { resource: Resource::Catalog, rights: Rights::CATALOG },
    ]
}

fn given(tokens: &Tokens, now: SystemTime) -> Secret {
    tokens.issue(&alice().into(), SERVICE, &scopes(), now).unwrap().token
}

/// The header and claims of a token.
fn opened(token: &Secret) -> [Value; 2] {
    let text = std::str::from_utf8(token.expose()).unwrap();
    let mut parts =
        text.split('.').map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).ok());
    [parts.next().flatten().unwrap(), parts.next().flatten().unwrap()]
}

#[test]
fn a_token_of_each_kind_of_key_in_each_form_is_taken() {
    let now = SystemTime::now();
    let (p256, p384) = (made(&PKCS_ECDSA_P256_SHA256), made(&PKCS_ECDSA_P384_SHA384));
    let rsa = made(&PKCS_RSA_SHA256);
    for (pem, other_form, algorithm) in [
        (p256.serialize_pem(), traditional(&p256, "EC PRIVATE KEY"), "ES256"),
        (p384.serialize_pem(), traditional(&p384, "EC PRIVATE KEY"), "ES384"),
        (rsa.serialize_pem(), traditional(&rsa, "RSA PRIVATE KEY"), "RS256"),
    ] {
        let (_folder, tokens) = with_key(&pem);
        let (_folder, same) = with_key(&other_form);
        let token = given(&tokens, now);
        let [header, _] = opened(&token);
        assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm), &json!("JWT")));
        for tokens in [&tokens, &same] {
            let verified = tokens.verify(&token, SERVICE, now).unwrap();
            assert_eq!((&verified.identity, &verified.scopes), (&alice().into(), &scopes()));
        }
        assert!(same.key.load().is_bound(&tokens.key.load().bind(&[b"a", b"b"]), &[b"a", b"b"]));
        assert!(!same.key.load().is_bound(&tokens.key.load().bind(&[b"ab", b""]), &[b"a", b"b"]));
    }
}

#[test]
fn keys_that_registries_do_not_verify_with_are_refused() {
    for algorithm in [&PKCS_ECDSA_P521_SHA512, &PKCS_ED25519] {
        let folder = Folder::new();
        let key = folder.write("token.key", made(algorithm).serialize_pem());
        let problems = Tokens::build(&settings(Some(key.clone())), None).err().unwrap();
        assert_eq!(problems.0[0].place, key.display().to_string());
        assert!(problems.0[0].message.contains("`tidegate token` makes one"), "{problems}");
    }
}

#[test]
fn the_claims_are_those_of_distribution() {
    let tokens = built(&settings(None));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let [header, mut claims] = opened(&given(&tokens, now));
    let name = header["kid"].as_str().unwrap();
    assert_eq!(
        name.split(':').map(str::len).collect::<Vec<_>>(),
        [4; 12],
        "the form of libtrust's names: {name}"
    );
    assert_eq!(header.as_object().unwrap().len(), 3, "{header}");
    let number = claims["jti"].take();
    assert_eq!(number.as_str().unwrap().len(), 32);
    let expected = json!({
        "iss": "tidegate", "sub": "alice", "aud": SERVICE, "jti": null,
        "exp": 1_800_000_300, "nbf": 1_799_999_990, "iat": 1_799_999_990,
        "access": [
            {"type": "repository", "name": "team/app", "actions": ["pull", "push"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ],
    });
    assert_eq!(claims, expected);
}

#[test]
fn the_certificate_goes_along_and_has_to_be_the_keys() {
    let folder = Folder::new();
    let (key, other) = (made(&PKCS_ECDSA_P256_SHA256), made(&PKCS_ECDSA_P256_SHA256));
    let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
    let mut settings = settings(Some(folder.write("token.key", key.serialize_pem())));
    settings.certificate = Some(folder.write("token.crt", certificate.pem()));
    let tokens = built(&settings);
    assert_eq!(tokens.warnings()[0].place, "token.service", "who asks would choose it");
    let [header, _] = opened(&given(&tokens, SystemTime::now()));
    assert_eq!(header["x5c"], json!([STANDARD.encode(certificate.der())]));

    folder.write("token.key", other.serialize_pem());
    let problems = Tokens::build(&settings, None).err().unwrap();
    assert!(problems.to_string().contains("does not match the certificate in"), "{problems}");

    let long = certificate.pem().repeat(40);
    folder.write("token.key", key.serialize_pem());
    folder.write("token.crt", long);
    let problems = Tokens::build(&settings, None).err().unwrap();
    assert!(problems.to_string().contains("would make each token too long"), "{problems}");
}

#[test]
fn dates_count_at_each_use_of_a_token_that_is_remembered() {
    let tokens = built(&settings(None));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let token = given(&tokens, now);
    for _ in 0..2 {
        assert!(tokens.verify(&token, SERVICE, now).is_ok());
        assert!(tokens.verify(&token, SERVICE, now - Duration::from_secs(20)).is_ok());
        assert_eq!(tokens.verify(&token, SERVICE, now - Duration::from_secs(21)), Err(Invalid::Early));
        assert!(tokens.verify(&token, SERVICE, now + Duration::from_secs(309)).is_ok());
        let later = now + Duration::from_secs(310);
        assert_eq!(tokens.verify(&token, SERVICE, later), Err(Invalid::Expired));
        assert_eq!(tokens.verify(&token, "another", now), Err(Invalid::Service));
    }
}

#[test]
fn a_signature_is_checked_once() {
    let tokens = built(&settings(None));
    let now = SystemTime::now();
    let (first, second) = (given(&tokens, now), given(&tokens, now));
    assert!(tokens.verify(&first, SERVICE, now).is_ok());
    tokens.key.store(Arc::new(Key::fresh().unwrap()));
    assert!(tokens.verify(&first, SERVICE, now).is_ok());
    assert_eq!(tokens.verify(&second, SERVICE, now), Err(Invalid::Foreign));
    let reloaded = Tokens::build(&settings(None), Some(&tokens)).unwrap();
    assert_eq!(reloaded.verify(&first, SERVICE, now), Err(Invalid::Foreign), "nothing outlives its key");
}

#[test]
fn the_key_of_another_process_is_taken_over_and_tokens_so_far_stay_valid() {
    let (ours, theirs) = (built(&settings(None)), built(&settings(None)));
    let now = SystemTime::now();
    let (first, second) = (given(&ours, now), given(&theirs, now));
    assert_eq!(ours.verify(&second, SERVICE, now), Err(Invalid::Foreign));
    ours.take_over_key(&theirs.fresh_key().unwrap());
    let reloaded = Tokens::build(&settings(None), Some(&ours)).unwrap();
    for tokens in [&ours, &reloaded] {
        assert!(tokens.verify(&first, SERVICE, now).is_ok() && tokens.verify(&second, SERVICE, now).is_ok());
        assert!(theirs.verify(&given(tokens, now), SERVICE, now).is_ok());
        assert_eq!(tokens.fresh_key(), theirs.fresh_key());
    }
    assert_eq!(theirs.verify(&first, SERVICE, now), Err(Invalid::Foreign));
}

#[test]
fn any_change_of_a_token_ends_it() {
    let tokens = built(&settings(None));
    let now = SystemTime::now();
    let token = given(&tokens, now);
    for at in 0..token.expose().len() {
        let mut changed = token.expose().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = Secret::new(changed);
        assert_eq!(tokens.verify(&changed, SERVICE, now), Err(Invalid::Foreign), "byte {at}");
    }
    let longer = Secret::new([token.expose(), b"A"].concat());
    assert_eq!(tokens.verify(&longer, SERVICE, now), Err(Invalid::Foreign));
}

#[test]
fn another_issuer_with_the_same_key_is_another() {
    let (folder, tokens) = with_key(&made(&PKCS_ECDSA_P256_SHA256).serialize_pem());
    let mut settings = settings(Some(folder.path("token.key")));
    settings.issuer = "another".to_owned();
    let (token, now) = (given(&tokens, SystemTime::now()), SystemTime::now());
    assert_eq!(built(&settings).verify(&token, SERVICE, now), Err(Invalid::Issuer));
}

#[test]
fn a_fresh_key_outlives_a_reload_and_not_a_restart() {
    let (settings, now) = (settings(None), SystemTime::now());
    let first = built(&settings);
    let token = given(&first, now);
    let second = Tokens::build(&settings, Some(&first)).unwrap();
    assert!(second.verify(&token, SERVICE, now).is_ok());
    assert_eq!(built(&settings).verify(&token, SERVICE, now), Err(Invalid::Foreign));
    let (_folder, named) = with_key(&made(&PKCS_ECDSA_P256_SHA256).serialize_pem());
    let third = Tokens::build(&settings, Some(&named)).unwrap();
    assert_eq!(third.verify(&given(&named, now), SERVICE, now), Err(Invalid::Foreign));
}

#[test]
fn a_token_that_would_not_fit_is_not_given() {
    let scopes: Vec<Scope> = (0..64)
        .map(|number| Scope::repository(&format!("{}{number}", "a".repeat(250)), Rights::ALL))
        .collect();
    let asked = built(&settings(None)).issue(&alice().into(), SERVICE, &scopes, SystemTime::now());
    assert_eq!(asked.err(), Some(NotIssued::TooLong));
}

#[test]
fn the_service_is_configured_or_the_host() {
    let mut settings = settings(None);
    let asked = |authority: &'static str| Authority::read(&HeaderValue::from_static(authority)).unwrap();
    for (authority, service) in [
        ("Registry.Example.com", "registry.example.com"),
        ("registry.example.com:443", "registry.example.com"),
        ("registry.example.com:5443", "registry.example.com:5443"),
        ("[::1]:443", "[::1]"),
    ] {
        assert_eq!(built(&settings).service(&asked(authority)), service);
    }
    settings.service = Some("Written".to_owned());
    assert_eq!(built(&settings).service(&asked("second")), "Written");
}

fn alice() -> User {
    User::local("alice").unwrap()
}

/// The `{SHA}` hash of one of two passwords.
fn users(first: bool) -> Htpasswd {
    let hash = if first { "{SHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0=" } else { "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" };
    Htpasswd::parse(format!("alice:{hash}\nbob:{hash}\n").as_bytes(), true).unwrap()
}

/// The verdict without the user: each of these tokens is signed and names alice.
fn ended(result: Result<User, RefusedLogin>) -> Result<User, Ended> {
    result.map_err(|refused| {
        assert_eq!(refused.user.as_deref(), Some("alice"));
        refused.ended
    })
}

/// The user whose login the token proves.
fn verified(
    tokens: &Tokens,
    token: &Secret,
    service: &str,
    users: &Htpasswd,
    now: SystemTime,
) -> Result<User, RefusedLogin> {
    let login = tokens.open_login(token, service, None, now)?;
    let person = users.person(login.user.as_bytes()).filter(|person| tokens.is_bound(&login, person));
    person.map(|person| person.user).ok_or_else(|| login.replaced())
}

fn login(tokens: &Tokens, users: &Htpasswd, now: SystemTime) -> Secret {
    tokens.issue_login(&users.person(b"alice").unwrap(), None, SERVICE, now).unwrap().unwrap()
}

#[test]
fn a_login_lasts_until_the_password_changes_or_its_time_is_over() {
    let (folder, tokens) = with_key(&made(&PKCS_RSA_SHA256).serialize_pem());
    let (now, users_now) = (SystemTime::now(), users(true));
    let token = login(&tokens, &users_now, now);
    let after_restart = built(&settings(Some(folder.path("token.key"))));
    for tokens in [&tokens, &after_restart] {
        let check =
            |users: &Htpasswd, service: &str, now| ended(verified(tokens, &token, service, users, now));
        assert_eq!(check(&users_now, SERVICE, now), Ok(alice()));
        assert_eq!(check(&users(false), SERVICE, now), Err(Ended::Password));
        let nobody = Htpasswd::parse(b"", false).unwrap();
        assert_eq!(check(&nobody, SERVICE, now), Err(Ended::Password));
        assert_eq!(check(&users_now, "another", now), Err(Ended::Invalid(Invalid::Service)));
        let later = now + Duration::from_hours(24) + MINUTE;
        assert_eq!(check(&users_now, SERVICE, later), Err(Ended::Invalid(Invalid::Expired)));
    }
}

#[test]
fn a_login_is_no_token_and_a_token_is_no_login() {
    let (_folder, tokens) = with_key(&made(&PKCS_ECDSA_P256_SHA256).serialize_pem());
    let (now, users) = (SystemTime::now(), users(true));
    let (token, login) = (given(&tokens, now), login(&tokens, &users, now));
    assert_eq!(tokens.verify(&login, SERVICE, now), Err(Invalid::Foreign));
    assert_eq!(tokens.verify(&login, &format!("refresh:{SERVICE}"), now), Err(Invalid::Foreign));
    let taken = verified(&tokens, &token, SERVICE, &users, now);
    assert_eq!(taken, Err(RefusedLogin { ended: Ended::Invalid(Invalid::Foreign), user: None }));
}

#[test]
fn a_revocation_counts_at_once_and_stays_when_its_file_vanishes() {
    let (folder, tokens) = with_key(&made(&PKCS_ECDSA_P256_SHA256).serialize_pem());
    let (now, users) = (SystemTime::now(), users(true));
    let token = login(&tokens, &users, now);
    let check = |tokens: &Tokens, token| ended(verified(tokens, token, SERVICE, &users, now));
    assert!(check(&tokens, &token).is_ok());
    let file = revoked::beside(&folder.path("token.key"));
    fs::write(&file, revoked::revoke("", &["bob".to_owned()], now)).unwrap();
    assert!(check(&tokens, &token).is_ok());
    fs::write(&file, revoked::revoke("", &["alice".to_owned()], now)).unwrap();
    assert_eq!(check(&tokens, &token), Err(Ended::Revoked));
    let next = login(&tokens, &users, now + Duration::from_millis(1));
    assert!(check(&tokens, &next).is_ok());
    fs::remove_file(&file).unwrap();
    assert_eq!(check(&tokens, &token), Err(Ended::Revoked));
    let key = settings(Some(folder.path("token.key")));
    let reloaded = Tokens::build(&key, Some(&tokens)).unwrap();
    assert_eq!(check(&reloaded, &token), Err(Ended::Revoked));
}

#[test]
fn without_a_key_that_lasts_there_are_no_logins() {
    let (_folder, mut tokens) = with_key(&made(&PKCS_ECDSA_P256_SHA256).serialize_pem());
    let (now, users) = (SystemTime::now(), users(true));
    let (token, alice) = (login(&tokens, &users, now), users.person(b"alice").unwrap());
    tokens.settings.refresh_ttl = Duration::ZERO;
    let refused = RefusedLogin { ended: Ended::NotKept, user: Some("alice".to_owned()) };
    assert_eq!(verified(&tokens, &token, SERVICE, &users, now), Err(refused));
    for tokens in [tokens, built(&settings(None))] {
        assert_eq!(tokens.issue_login(&alice, None, SERVICE, now), Ok(None));
    }
}

#[test]
fn the_last_scopes_that_a_token_has_room_for() {
    let many = |count: usize| {
        (0..count).map(|number| Scope::repository(&format!("team/app{number}"), Rights::PULL)).collect()
    };
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256] {
        let (_folder, tokens) = with_key(&made(algorithm).serialize_pem());
        let fitting = |count: usize, most: usize| -> Vec<Scope> {
            let asked = AskedScopes { scopes: many(count), newest: (0..count).rev().collect() };
            tokens.fitting(&alice().into(), SERVICE, asked, most).unwrap()
        };
        assert_eq!(fitting(10, 8000), many(10));
        let all: Vec<Scope> = many(1000);
        for most in [3000, 4000, 5001, 16 * 1024, usize::MAX] {
            let kept = fitting(1000, most);
            assert!(kept.len() > 10 && kept == all[1000 - kept.len()..], "{most}");
            let length = tokens
                .issue(&alice().into(), SERVICE, &kept, SystemTime::now())
                .unwrap()
                .token
                .expose()
                .len();
            let room = most.min(16 * 1024);
            assert!(length <= room && length + 200 > room, "{length} of {room}");
        }
        // A token without scopes is of no use.
        assert_eq!(fitting(1000, 0), all[999..]);
        assert_eq!(fitting(0, 0), []);
        let asked =
            AskedScopes { scopes: many(1000), newest: [0].into_iter().chain((1..1000).rev()).collect() };
        let kept = tokens.fitting(&alice().into(), SERVICE, asked, 4000).unwrap();
        assert_eq!((&kept[0], &kept[1..]), (&all[0], &all[1001 - kept.len()..]), "the first was asked again");
    }
}
