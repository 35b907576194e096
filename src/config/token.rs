//! `[token]`: the tokens that tidegate issues and accepts with `auth.mode = "token"`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::auth::AuthMode;
use super::complaint::Complaint;
use super::print::{Printer, quoted};
use super::section::Section;
use super::upstream::UpstreamAuthorization;
use super::values::print_duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The audience of tokens, by default the first of `server.names`. `None` means the host of
    /// each request. Printable ASCII without spaces, quotes and backslashes.
    pub service: Option<String>,
    /// The issuer, in the same characters.
    pub issuer: String,
    /// PEM; `None` means a key that the process makes at its start.
    pub key: Option<PathBuf>,
    /// The certificate of the key, PEM; `None` without a key.
    pub certificate: Option<PathBuf>,
    /// How long tokens are valid. At least a minute.
    pub ttl: Duration,
    /// How long identity tokens are valid. Zero means that none are issued. Always zero without
    /// `key`, because they have to outlive the process.
    pub refresh_ttl: Duration,
}

const DAY: Duration = Duration::from_hours(24);
/// Clients assume a minute if they receive no lifetime.
const TTL: RangeInclusive<Duration> = Duration::from_mins(1)..=DAY;
const REFRESH_TTL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(3650 * 24);

impl Token {
    /// `names` is `server.names`, `mode` is `auth.mode`, `authorization` is
    /// `upstream.authorization`. `may_be_one_of_many` says that there are load balancers, and that
    /// replicas share nothing.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        names: &[String],
        mode: Option<AuthMode>,
        authorization: Option<UpstreamAuthorization>,
        may_be_one_of_many: bool,
    ) -> Option<Self> {
        let wanted = "printable ASCII without spaces, quotes and backslashes";
        let service = section.text("service", r#""""#, wanted, |text| match text {
            "" => Ok(names.first().cloned()),
            text => word(text).map(Some),
        });
        let issuer = section.text("issuer", r#""tidegate""#, wanted, word);
        let wanted = r#"the path of a PEM file, or "" for a new key at every start"#;
        let remedy = "make it with `tidegate token FILE`, or leave it empty for a new key at every start";
        let key_location = section.location("key");
        let key = section.optional_file("key", wanted, remedy);
        let certificate_location = section.location("certificate");
        let wanted = r#"the path of a PEM file, or "" for none"#;
        let remedy = "`tidegate token` makes it beside the key; only a registry with rootcertbundle needs it";
        let certificate = section.optional_file("certificate", wanted, remedy);
        let ttl = section.duration("ttl", r#""5m""#, TTL);
        let refresh_location = section.is_written("refresh_ttl").then(|| section.location("refresh_ttl"));
        let mut refresh_ttl = section.duration("refresh_ttl", r#""90d""#, REFRESH_TTL);

        let has_key = key.as_ref().map(Option::is_some);
        let has_certificate = matches!(certificate, Some(Some(_)));
        let passes = authorization.map(|authorization| authorization == UpstreamAuthorization::Pass);
        let warning = match (mode, has_key, passes) {
            (Some(AuthMode::Basic | AuthMode::Off), Some(true), _) => Some((
                &key_location,
                "token.key has no effect unless auth.mode is \"token\"; set that mode, or remove the key",
            )),
            (Some(AuthMode::Token), Some(false), Some(true)) => Some((
                &key_location,
                "token.key is missing, so every start makes a new key, and the registry cannot verify the \
                 tokens that upstream.authorization = \"pass\" sends it; write key and certificate, \
                 which `tidegate token` makes",
            )),
            (Some(AuthMode::Token), Some(false), _) if may_be_one_of_many => Some((
                &key_location,
                "token.key is missing, so behind a load balancer the tokens of one replica are refused by the next; \
                 write token.key, the same for all replicas, or [shared]",
            )),
            (Some(AuthMode::Token), Some(true), Some(false)) if has_certificate => Some((
                &certificate_location,
                "token.certificate has no effect unless the registry receives the tokens; write \
                 upstream.authorization = \"pass\", or remove the certificate",
            )),
            _ => None,
        };
        if let Some((location, message)) = warning {
            section.report.warn(location, message);
        }
        if has_key == Some(false) {
            if has_certificate {
                let message = "token.certificate is set without token.key, so the registry would trust a \
                               key that is not used; write the key of the certificate, or remove the \
                               certificate";
                section.report.forgotten(&certificate_location, message);
            }
            if let (Some(AuthMode::Token), Some(location)) = (mode, refresh_location)
                && refresh_ttl.is_some_and(|ttl| !ttl.is_zero())
            {
                let message = "token.refresh_ttl: identity tokens need a key that lasts; write token.key, \
                               which `tidegate token` makes, or refresh_ttl = \"0s\"";
                section.report.forgotten(&location, message);
            }
            refresh_ttl = refresh_ttl.map(|_| Duration::ZERO);
        }
        Some(Self {
            service: service?,
            issuer: issuer?,
            key: key?,
            certificate: certificate?,
            ttl: ttl?,
            refresh_ttl: refresh_ttl?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { service, issuer, key, certificate, ttl, refresh_ttl } = self;
        to.section("token");
        to.reloaded("service", quoted(service.as_deref().unwrap_or_default()));
        to.reloaded("issuer", quoted(issuer));
        to.watched("key", key.as_deref());
        to.watched("certificate", certificate.as_deref());
        to.reloaded("ttl", quoted(print_duration(*ttl)));
        to.reloaded("refresh_ttl", quoted(print_duration(*refresh_ttl)));
    }
}

/// A text that needs no escape between quotes in a challenge, nor in a URL.
fn word(text: &str) -> Result<String, Complaint> {
    let is_letter = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(is_letter) { Ok(text.to_owned()) } else { Err(Complaint::Shape) }
}
