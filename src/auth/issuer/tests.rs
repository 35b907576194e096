//! Tokens of issuers whose keys are in files.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::*;
use crate::auth::person::Source;
use crate::pki::fixtures::Folder;
use crate::pki::pkcs1;

mod claims;
mod memory;
mod people;
mod signatures;

const URL: &str = "https://gitlab.example.com";
/// Without a rule, every job would be allowed everything.
const RULE: &str = "[[access]]\nusers = [\"alice\"]\nrepositories = [\"**\"]\nactions = [\"pull\"]";
const AUDIENCE: &str = "registry.example.com";
/// The seconds at which tokens are checked.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Who signs tokens.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    id: &'static str,
}

impl Signer {
    fn new(algorithm: Algorithm, id: &'static str) -> Self {
        let made = |kind| KeyPair::generate_for(kind).unwrap().serialize_der();
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&made(&PKCS_ECDSA_P256_SHA256)),
            Algorithm::ES384 => EncodingKey::from_ec_der(&made(&PKCS_ECDSA_P384_SHA384)),
            Algorithm::EdDSA => {
                let made = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
                EncodingKey::from_ed_der(made.as_ref())
            }
            _ => {
                let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made(&PKCS_RSA_SHA256)));
                EncodingKey::from_rsa_der(&pkcs1(&der).unwrap())
            }
        };
        Self { algorithm, key, id }
    }

    /// The same key for another algorithm.
    fn using(&self, algorithm: Algorithm) -> Self {
        Self { algorithm, key: self.key.clone(), id: self.id }
    }

    /// The public key, without an `alg`.
    fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk["kid"] = json!(self.id);
        jwk
    }

    fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" })
    }

    fn sign(&self, claims: &Value) -> Secret {
        self.sign_with(&self.header(), claims)
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> Secret {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        Secret::new(format!("{signed}.{signature}").into_bytes())
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The claims of a token that is accepted.
fn claims() -> Value {
    json!({
        "iss": URL, "aud": AUDIENCE, "sub": "project_path:team/app:ref_type:branch:ref:main",
        "exp": NOW + 300, "nbf": NOW - 5, "iat": NOW - 5,
        "project_path": "team/app", "ref_protected": "true", "project_id": 22,
    })
}

/// The claims with some of them replaced, or removed by null.
fn but(changes: Value) -> Value {
    let mut claims = claims();
    for (claim, value) in changes.as_object().unwrap() {
        let all = claims.as_object_mut().unwrap();
        match value {
            Value::Null => all.remove(claim),
            value => all.insert(claim.clone(), value.clone()),
        };
    }
    claims
}

/// An entry of `[[auth.issuer]]` whose keys are in `gitlab.json`.
fn gitlab(rest: &str) -> String {
    entry("gitlab", URL, &format!("require = {{ project_path = \"team/**\" }}\n{rest}"))
}

fn entry(name: &str, url: &str, rest: &str) -> String {
    format!(
        "[[auth.issuer]]\nname = {name:?}\nurl = {url:?}\naudience = [\"other\", {AUDIENCE:?}]\nkeys = \"{name}.json\"\n{rest}\n"
    )
}

fn settings(folder: &Folder, entries: &str) -> Vec<config::Issuer> {
    let text = format!("[tls]\ncertificate = \"a\"\nkey = \"b\"\n{entries}\n{RULE}");
    let config = config::Config::parse(&folder.path("proxy.toml"), &text, &[]);
    config.unwrap_or_else(|problems| panic!("{problems}")).auth.issuers
}

fn built(folder: &Folder, entries: &str, before: Option<&Issuers>) -> Issuers {
    let wanted = ["gitlab:ops", "gitlab:dev", "other:ops"].map(str::to_owned).into();
    Issuers::build(&settings(folder, entries), &wanted, &SystemRoots::default(), before)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn write_keys(folder: &Folder, name: &str, keys: &[Value]) {
    folder.write(&format!("{name}.json"), json!({ "keys": keys }).to_string());
}

/// An issuer called `gitlab` with one key.
struct GitLab {
    folder: Folder,
    signer: Signer,
    issuers: Issuers,
}

impl GitLab {
    fn new(rest: &str) -> Self {
        Self::of(Signer::new(Algorithm::ES256, "first"), &gitlab(rest))
    }

    fn of(signer: Signer, entries: &str) -> Self {
        let folder = Folder::new();
        write_keys(&folder, "gitlab", &[signer.jwk()]);
        let issuers = built(&folder, entries, None);
        Self { folder, signer, issuers }
    }

    async fn verify(&self, claims: &Value) -> Result<Accepted, String> {
        verify(&self.issuers, &self.signer.sign(claims)).await
    }

    async fn user(&self, claims: &Value) -> String {
        self.verify(claims).await.unwrap().person.user.to_string()
    }

    async fn reason(&self, claims: &Value) -> String {
        self.verify(claims).await.unwrap_err()
    }
}

async fn verify(issuers: &Issuers, token: &Secret) -> Result<Accepted, String> {
    issuers.verify(token, now()).await.map_err(reason)
}

/// The reason of a token of a known issuer. It fits into a quoted string.
fn reason(refused: RefusedToken) -> String {
    let RefusedToken::Invalid { reason, .. } = refused else { return format!("{refused:?}") };
    assert!(!reason.contains(['"', '\\']) && reason.is_ascii(), "{reason}");
    reason
}
