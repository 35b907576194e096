//! The words that stand for one of a few choices, for reading and for printing alike.

use super::settings::{
    AccessFormat, AcmeChallenge, Alpn, AuthMode, Catalog, ClientCertificate, LogFormat, TlsVersion,
    UpstreamAuthorization, UserFrom, Verify,
};

pub(super) const TLS_VERSIONS: &[(&str, TlsVersion)] =
    &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

pub(super) const ALPN: &[(&str, Alpn)] = &[("h2", Alpn::H2), ("http/1.1", Alpn::Http11)];

pub(super) const VERIFY: &[(&str, Verify)] =
    &[("off", Verify::Off), ("optional", Verify::Optional), ("required", Verify::Required)];

pub(super) const USER_FROM: &[(&str, UserFrom)] =
    &[("cn", UserFrom::CommonName), ("san", UserFrom::AlternativeName)];

pub(super) const CLIENT_CERTIFICATE: &[(&str, ClientCertificate)] =
    &[("either", ClientCertificate::Either), ("both", ClientCertificate::Both)];
pub(super) const ACME_CHALLENGES: &[(&str, AcmeChallenge)] =
    &[("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01)];

pub(super) const UPSTREAM_AUTHORIZATION: &[(&str, UpstreamAuthorization)] = &[
    ("user", UpstreamAuthorization::User),
    ("pass", UpstreamAuthorization::Pass),
    ("none", UpstreamAuthorization::None),
];

pub(super) const AUTH_MODES: &[(&str, AuthMode)] =
    &[("basic", AuthMode::Basic), ("token", AuthMode::Token), ("off", AuthMode::Off)];

pub(super) const CATALOG: &[(&str, Catalog)] = &[("filtered", Catalog::Filtered), ("off", Catalog::Off)];

pub(super) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) const ACCESS_FORMATS: &[(&str, AccessFormat)] =
    &[("json", AccessFormat::Json), ("combined", AccessFormat::Combined)];

/// `"a", "b" or "c"`.
pub(super) fn choices<T>(words: &[(&str, T)]) -> String {
    let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The choice that `text` stands for.
pub(super) fn choose<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice)
}

/// The word that stands for `choice`.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], choice: &T) -> &'static str {
    words.iter().find(|(_, known)| known == choice).map_or("", |(word, _)| word)
}
