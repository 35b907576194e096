//! `[token]`: from what is written to what is meant.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::file::optional_file;
use super::section::Section;
use super::settings::{AuthMode, Token, UpstreamAuthorization};

const DAY: Duration = Duration::from_hours(24);
/// Clients that are told nothing else take a token for good for a minute.
const TTL: RangeInclusive<Duration> = Duration::from_mins(1)..=DAY;
const REFRESH_TTL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(3650 * 24);

/// `[token]`. `names` is `server.names`, `mode` is `auth.mode`, `authorization` is `upstream.authorization`.
pub(super) fn token(
    section: &mut Section<'_, '_>,
    base: &Path,
    names: &[String],
    mode: Option<AuthMode>,
    authorization: Option<UpstreamAuthorization>,
) -> Option<Token> {
    let wanted = "printable ASCII without spaces, quotes and backslashes";
    let service = section.text("service", wanted, |text| match text {
        "" => Ok(names.first().cloned()),
        text => word(text).map(Some),
    });
    let issuer = section.text("issuer", wanted, word);
    let wanted = r#"the path of a PEM file, or "" for a key that is made at every start"#;
    let remedy = "make it with `tidegate token FILE`, or leave it empty for one that is made at every start";
    let key_place = section.place("key");
    let key = optional_file(section, "key", "token.key", wanted, remedy, base);
    let certificate_place = section.place("certificate");
    let wanted = r#"the path of a PEM file, or "" for none"#;
    let remedy = "`tidegate token` makes it beside the key; only a registry with rootcertbundle needs it";
    let certificate = optional_file(section, "certificate", "token.certificate", wanted, remedy, base);
    let ttl = section.duration("ttl", TTL);
    let refresh_place = section.is_written("refresh_ttl").then(|| section.place("refresh_ttl"));
    let mut refresh_ttl = section.duration("refresh_ttl", REFRESH_TTL);

    if matches!((&key, mode), (Some(Some(_)), Some(AuthMode::Basic | AuthMode::Off))) {
        section.report.warn(&key_place, "token.key signs nothing while auth.mode is not \"token\"");
    }
    let passes = authorization.map(|authorization| authorization == UpstreamAuthorization::Pass);
    match (mode, &key, &certificate, passes) {
        (Some(AuthMode::Token), Some(None), _, Some(true)) => {
            let message = "token.key is missing, and with one that is made at every start the registry cannot verify the \
                           tokens that upstream.authorization = \"pass\" hands it; write key and certificate, which \
                           `tidegate token` makes";
            section.report.warn(&key_place, message);
        }
        (Some(AuthMode::Token), Some(Some(_)), Some(Some(_)), Some(false)) => {
            let message = "token.certificate is for a registry that verifies tokens, and this one gets none; write \
                           upstream.authorization = \"pass\", or leave the certificate out";
            section.report.warn(&certificate_place, message);
        }
        _ => {}
    }
    if key == Some(None) {
        if matches!(certificate, Some(Some(_))) {
            let message = "token.certificate stands without token.key, so a registry would trust a key that is not used; \
                           write the key that belongs to it, or remove it";
            section.report.forgotten(&certificate_place, message);
        }
        if let (Some(AuthMode::Token), Some(place)) = (mode, refresh_place)
            && refresh_ttl.is_some_and(|ttl| !ttl.is_zero())
        {
            let message = "token.refresh_ttl: identity tokens need a key that lasts; write token.key, which `tidegate token` \
                           makes, or refresh_ttl = \"0s\"";
            section.report.forgotten(&place, message);
        }
        refresh_ttl = refresh_ttl.map(|_| Duration::ZERO);
    }
    Some(Token {
        service: service?,
        issuer: issuer?,
        key: key?,
        certificate: certificate?,
        ttl: ttl?,
        refresh_ttl: refresh_ttl?,
    })
}

/// What stands between quotes in a challenge, and in a URL without escapes.
fn word(text: &str) -> Result<String, String> {
    let letter = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(letter) { Ok(text.to_owned()) } else { Err(String::new()) }
}
