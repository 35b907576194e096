//! Forged tokens are rejected by tidegate, and by the registry that trusts the same key.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::beside_a_registry::Pair;
use super::*;
use crate::harness::image::sha256;
use crate::harness::signer::{Signer, message, open, sign_with_secret, x5c};

const LINE: &str = "GET /v2/team/app/tags/list";

fn with(value: &Value, name: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[name] = new;
    value
}

fn without(value: &Value, names: &[&str]) -> Value {
    let mut value = value.clone();
    for name in names {
        value.as_object_mut().unwrap().remove(*name);
    }
    value
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Every forgery that can be made from a genuine token with `header` and `claims`, by name.
fn forgeries(pair: &Pair, true_token: &str) -> Vec<(&'static str, String)> {
    let key = file(&pair.tidegate, "token.key");
    let (header, claims) = open(true_token);
    let (owner, stranger) = (Signer::of(&key), Signer::stranger());
    let signature = true_token.rsplit_once('.').unwrap().1;
    let mut wrong_signature = true_token.to_owned();
    let end = wrong_signature.len() - 10;
    let other = if &wrong_signature[end..=end] == "A" { "B" } else { "A" };
    wrong_signature.replace_range(end..=end, other);

    let public = owner.public();
    let armoured = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(&public)
    );
    let bundle = fs::read(file(&pair.tidegate, "token.crt")).unwrap();
    let hs256 = |secret: &[u8]| sign_with_secret(secret, &with(&header, "alg", json!("HS256")), &claims);

    let own_key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([]).unwrap().self_signed(&own_key).unwrap();
    let (own_file, own_certificate) = (file(&pair.tidegate, "own.key"), file(&pair.tidegate, "own.crt"));
    fs::write(&own_file, own_key.serialize_pem()).unwrap();
    fs::write(&own_certificate, certificate.pem()).unwrap();
    let foreign = Signer::of(&own_file);
    let bare = with(&without(&header, &["x5c", "kid"]), "alg", json!("ES256"));

    vec![
        ("another issuer", owner.sign(&header, &with(&claims, "iss", json!("another")))),
        ("another service", owner.sign(&header, &with(&claims, "aud", json!("another")))),
        ("no service", owner.sign(&header, &without(&claims, &["aud"]))),
        ("expired", owner.sign(&header, &with(&claims, "exp", json!(now() - 120)))),
        ("without an end", owner.sign(&header, &without(&claims, &["exp"]))),
        ("not yet valid", owner.sign(&header, &with(&claims, "nbf", json!(now() + 120)))),
        (
            "another repository",
            owner.sign(
                &header,
                &with(
                    &claims,
                    "access",
                    json!([{"type": "repository", "name": "team/other", "actions": ["pull"]}]),
                ),
            ),
        ),
        (
            "another right",
            owner.sign(
                &header,
                &with(
                    &claims,
                    "access",
                    json!([{"type": "repository", "name": "team/app", "actions": ["push"]}]),
                ),
            ),
        ),
        ("changed signature", wrong_signature),
        (
            "changed payload",
            format!("{}.{signature}", message(&header, &with(&claims, "sub", json!("root")))),
        ),
        ("no signature", format!("{}.", message(&header, &claims))),
        ("alg none", format!("{}.", message(&with(&header, "alg", json!("none")), &claims))),
        (
            "alg None with a signature",
            format!("{}.{signature}", message(&with(&header, "alg", json!("None")), &claims)),
        ),
        ("HS256 with the public key", hs256(&public)),
        ("HS256 with the public key in PEM", hs256(armoured.as_bytes())),
        ("HS256 with the certificate", hs256(&bundle)),
        ("a stranger's signature", stranger.sign(&with(&header, "alg", json!("ES256")), &claims)),
        ("a foreign certificate", foreign.sign(&with(&bare, "x5c", x5c(&own_certificate)), &claims)),
        (
            "a foreign certificate and the true name",
            foreign.sign(
                &with(&with(&bare, "x5c", x5c(&own_certificate)), "kid", header["kid"].clone()),
                &claims,
            ),
        ),
        (
            "the true certificate and a foreign key",
            foreign.sign(&with(&bare, "x5c", x5c(&file(&pair.tidegate, "token.crt"))), &claims),
        ),
        ("an embedded key", stranger.sign(&with(&bare, "jwk", stranger.jwk()), &claims)),
        ("no text", "a.b.c".to_owned()),
    ]
}

#[test]
fn neither_tidegate_nor_the_registry_accepts_a_forgery() {
    for pair in Pair::all() {
        let mut client = Client::connect(&pair.tidegate);
        let token = obtain(&mut client, Some(ALICE), &["repository:team/app:pull"]);
        // Nothing was pushed, and a client with the right to pull gets 404.
        let nothing = 404;
        assert_eq!((pair.ask_registry(LINE, &token), pair.ask_tidegate(LINE, &token)), (nothing, nothing));
        let (header, claims) = open(&token);
        let resigned = Signer::of(&file(&pair.tidegate, "token.key")).sign(&header, &claims);
        assert_eq!(
            (pair.ask_registry(LINE, &resigned), pair.ask_tidegate(LINE, &resigned)),
            (nothing, nothing)
        );
        for (what, forged) in forgeries(&pair, &token) {
            let algorithm = &header["alg"];
            assert_eq!(pair.ask_tidegate(LINE, &forged), 401, "tidegate, {algorithm}: {what}");
            assert_eq!(pair.ask_registry(LINE, &forged), 401, "the registry, {algorithm}: {what}");
        }
        let kept = json(&get(&mut client, "offline_token=true", Some(ALICE)));
        let kept = text(&kept["refresh_token"]);
        assert_eq!((pair.ask_registry("GET /v2/", &kept), pair.ask_tidegate("GET /v2/", &kept)), (401, 401));
    }
}

#[test]
fn a_key_is_valid_only_with_its_own_algorithm() {
    let (_recorder, tidegate) = start();
    let token = obtain(&mut Client::connect(&tidegate), Some(ALICE), &[]);
    let (header, claims) = open(&token);
    let owner = Signer::of(&file(&tidegate, "token.key"));
    assert_eq!(owner.algorithm(), "ES256");
    for algorithm in ["ES384", "ES512", "RS256", "PS256", "EdDSA", "none", ""] {
        let token = owner.sign(&with(&header, "alg", json!(algorithm)), &claims);
        assert_eq!(
            Client::connect(&tidegate).exchange("GET /v2/", &[&bearer(&token)]).status,
            401,
            "{algorithm}"
        );
    }
}

#[test]
fn a_token_must_be_valid_when_its_request_begins() {
    let (recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let token = obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]);
    let (header, claims) = open(&token);
    let owner = Signer::of(&file(&tidegate, "token.key"));
    // Ten seconds of clock skew are allowed, of which two are left.
    let short = bearer(&owner.sign(&header, &with(&claims, "exp", json!(now() - 8))));
    let body = b"a layer";
    let line = format!("PUT /v2/team/app/blobs/uploads/1?digest=sha256:{}", sha256(body));
    let length = format!("Content-Length: {}", body.len());
    client.send(http1::head(&line, &[&short, &length]));
    client.send(&body[..1]);
    recorder.wait_for("the beginning of the upload", |seen| seen.received == 1);
    let mut other = Client::connect(&tidegate);
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    while other.exchange("GET /v2/", &[&short]).status == 200 {
        assert!(std::time::Instant::now() < deadline, "the token never expired");
    }
    client.send(&body[1..]);
    assert_eq!(client.response(false).unwrap().status, 200);
}
