//! `[[auth.issuer]]`: an OpenID Connect issuer whose ID tokens sign in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use toml::de::DeValue;

use super::claim::{Claim, Template};
use super::complaint::Complaint;
use super::keys::ISSUER;
use super::list::values;
use super::print::{Printer, list, quoted};
use super::quote::{describe, shown};
use super::report::{Location, Report};
use super::section::{Section, Written};
use super::values::{WAIT_OR_NONE, print_duration};

/// An example of an entry, for messages.
pub(super) const EXAMPLE: &str = r#"[{ name = "gitlab", url = "https://gitlab.example.com", audience = ["registry.example.com"], require = { project_path = "team/**" } }]"#;

/// What other users are told apart by.
const TAKEN: [&str; 3] = ["ldap", "http", "htpasswd"];
const LONGEST_NAME: usize = 63;
/// Bytes of an address, an audience and a wanted value.
const LONGEST: usize = 1024;

/// An issuer of ID tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Where the entry stands, for messages.
    pub place: String,
    pub(super) header: Location,
    /// `a-z`, `0-9` and `-`. Users are `name:…`, groups `@name:…`.
    pub name: String,
    /// The `iss` of its tokens, byte by byte; https.
    pub url: String,
    /// One of them must be in `aud`. At least one.
    pub audience: Vec<String>,
    /// What claims must be. At least one.
    pub require: BTreeMap<Claim, Condition>,
    /// The name of the user.
    pub user: Template,
    /// The claim that holds the groups.
    pub groups: Option<Claim>,
    /// PEM roots for discovery and keys; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// A file with a JWKS, instead of discovery.
    pub keys: Option<PathBuf>,
    /// How long the identity token of a login lasts; zero means that there is none.
    pub login_ttl: Duration,
}

/// What a claim must be: one of several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(pub Vec<Wanted>);

/// A value of a claim. Types do not mix: the text "true" is not `true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A text, in which `*` is anything without `/` and `:`, and `**` is anything.
    Text(String),
    Flag(bool),
    Number(i64),
}

/// Issuers are equal if they mean the same, wherever they are written.
impl PartialEq for Issuer {
    fn eq(&self, other: &Self) -> bool {
        let Self { place: _, header: _, name, url, audience, require, user, groups, ca, keys, login_ttl } =
            self;
        (name, url, audience, require, user)
            == (&other.name, &other.url, &other.audience, &other.require, &other.user)
            && (groups, ca, keys, login_ttl) == (&other.groups, &other.ca, &other.keys, &other.login_ttl)
    }
}

impl Eq for Issuer {}

impl Issuer {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let place = section.report.describe(&section.header);
        let header = section.header.clone();
        forgotten(section, "name", r#""gitlab""#);
        let wanted = r#"a name of lower-case letters, digits and hyphens, such as "gitlab""#;
        let name = section.text("name", None, wanted, name);
        forgotten(section, "url", r#""https://gitlab.example.com""#);
        let wanted = r#"the claim iss of its tokens, such as "https://gitlab.example.com""#;
        let url = section.text("url", None, wanted, url);
        forgotten(section, "audience", r#"["registry.example.com"]"#);
        let wanted =
            r#"what stands in the claim aud of tokens for this registry, such as "registry.example.com""#;
        let audience = values(section.several("audience", None, wanted, text, |_| false));
        let require = require(section);
        let user_location = section.location("user");
        let wanted = r#"a text with claims, such as "${sub}" or "${project_path}""#;
        let user = section.text("user", r#""${sub}""#, wanted, str::parse::<Template>);
        let wanted = r#"the name of a claim, such as "groups", or "" for none"#;
        let groups = section.text("groups", r#""""#, wanted, |text| match text {
            "" => Ok(None),
            name => name.parse().map(Some),
        });
        let ca_location = section.is_written("ca").then(|| section.location("ca"));
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let ca = section.optional_file("ca", wanted, "copy the root certificate of the issuer there");
        let wanted = r#"the path of a JSON file with a set of keys, or "" for discovery"#;
        let keys = section.optional_file("keys", wanted, "copy the issuer's set of keys there");
        if let (Some(location), Some(Some(_)), Some(Some(_))) = (ca_location, &ca, &keys) {
            let message = "auth.issuer.ca: this has no effect, because the keys come from the file of \
                           auth.issuer.keys; remove one of the two";
            section.report.warn(&location, message);
        }
        let login_ttl = section.duration("login_ttl", r#""1h""#, WAIT_OR_NONE);
        let (require_location, require) = require?;
        let user = user?;
        warn_of_email(section, &require_location, &require, &user_location, &user);
        Some(Self {
            place,
            header,
            name: name?,
            url: url?,
            audience: audience?,
            require,
            user,
            groups: groups?,
            ca: ca?,
            keys: keys?,
            login_ttl: login_ttl?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { place: _, header: _, name, url, audience, require, user, groups, ca, keys, login_ttl } =
            self;
        to.section(ISSUER);
        to.reloaded("name", quoted(name));
        to.reloaded("url", quoted(url));
        to.reloaded("audience", list(audience.iter().map(quoted)));
        let conditions =
            require.iter().map(|(claim, condition)| format!("{} = {}", quoted(claim), condition.printed()));
        to.reloaded("require", format!("{{ {} }}", conditions.collect::<Vec<_>>().join(", ")));
        to.reloaded("user", quoted(user));
        to.reloaded("groups", groups.as_ref().map_or_else(|| quoted(""), quoted));
        to.watched("ca", ca.as_deref());
        // An edit takes effect without a reload.
        to.reloaded("keys", to.optional_path(keys.as_deref()));
        to.reloaded("login_ttl", quoted(print_duration(*login_ttl)));
    }
}

impl Condition {
    fn printed(&self) -> String {
        let mut values = self.0.iter().map(Wanted::printed);
        match (values.next(), values.len()) {
            (Some(value), 0) => value,
            (first, _) => list(first.into_iter().chain(values)),
        }
    }
}

impl Wanted {
    fn printed(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }

    fn read(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) if text.len() <= LONGEST => Some(Self::Text(text.clone().into_owned())),
            DeValue::Boolean(flag) => Some(Self::Flag(*flag)),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(Self::Number)
            }
            _ => None,
        }
    }
}

/// Reports each issuer that another one is taken for: tokens and users name one.
pub(super) fn refuse_repetitions(issuers: &[Issuer], report: &mut Report) {
    for (index, issuer) in issuers.iter().enumerate() {
        for earlier in issuers.iter().take(index) {
            let again = match (issuer.name == earlier.name, issuer.url == earlier.url) {
                (true, _) => format!("auth.issuer.name: there is another {:?}", issuer.name),
                (_, true) => format!("auth.issuer.url: {:?} has this url as well", earlier.name),
                _ => continue,
            };
            let message = format!("{again}, at {}; keep one of the two", earlier.place);
            report.wrong(&issuer.header, message);
        }
    }
}

/// Reports a key that is missing.
fn forgotten(section: &mut Section<'_, '_>, key: &str, example: &str) {
    if !section.is_written(key) {
        let header = section.header.clone();
        let message = format!("{ISSUER}.{key} is missing; write {key} = {example}");
        section.report.forgotten(&header, message);
    }
}

fn name(text: &str) -> Result<String, Complaint> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(fits) {
        Err(Complaint::Shape)
    } else if TAKEN.contains(&text) {
        Err("users of another source have this name before theirs".into())
    } else {
        Ok(text.to_owned())
    }
}

fn url(text: &str) -> Result<String, Complaint> {
    let uri: Uri = text.parse().map_err(|_| Complaint::Shape)?;
    if uri.scheme_str() != Some("https") || !text.starts_with("https://") {
        Err("it does not begin with https://".into())
    } else if uri.query().is_some() || text.contains('#') {
        Err("an issuer has neither a query nor a fragment".into())
    } else if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) || text.len() > LONGEST
    {
        Err(Complaint::Shape)
    } else {
        Ok(text.to_owned())
    }
}

fn text(text: &str) -> Result<String, Complaint> {
    let is_bad = text.is_empty() || text.len() > LONGEST || text.contains(char::is_control);
    if is_bad { Err(Complaint::Shape) } else { Ok(text.to_owned()) }
}

/// The conditions, with the location of the key.
fn require(section: &mut Section<'_, '_>) -> Option<(Location, BTreeMap<Claim, Condition>)> {
    let location = section.location("require");
    let example = r#"require = { project_path = "team/**" }"#;
    let is_written = section.is_written("require");
    let field = section.take("require", "{}")?;
    let Written::Toml(DeValue::Table(table)) = field.written else {
        let wanted = format!("claims and what they must be: {example}");
        return section.judged("require", &field, &wanted, Err(Complaint::Shape));
    };
    if table.is_empty() {
        let found = if is_written { "found none" } else { "it is missing" };
        let message = format!(
            "auth.issuer.require: {found}, and so every token of the issuer would sign in, whoever has asked for it; \
             write claims and what they must be: {example}"
        );
        section.report.forgotten(&location, message);
        return None;
    }
    let mut conditions = BTreeMap::new();
    let mut is_sound = true;
    for (key, value) in table {
        let (name, location) = (key.get_ref().as_ref(), section.at(value.span()));
        let message = match (name.parse::<Claim>(), condition(value.get_ref())) {
            (Ok(claim), Some(condition)) => {
                conditions.insert(claim, condition);
                continue;
            }
            (Err(complaint), _) => {
                let reason = match complaint {
                    Complaint::Because(reason) => reason.into_owned(),
                    Complaint::Shape => "it is not the name of a claim".to_owned(),
                };
                format!(
                    "auth.issuer.require: found the claim \"{}\" ({reason}); write {example}",
                    shown(name)
                )
            }
            (_, None) => format!(
                "auth.issuer.require: found {} for the claim {name}; write a text, true, false, a whole number, or a \
                 list of these; a claim within another is written \"/outer/inner\" = \"value\"",
                found(value.get_ref())
            ),
        };
        section.report.wrong(&location, message);
        is_sound = false;
    }
    is_sound.then_some((location, conditions))
}

fn condition(value: &DeValue<'_>) -> Option<Condition> {
    match value {
        DeValue::Array(list) if list.is_empty() => None,
        DeValue::Array(list) => {
            list.iter().map(|value| Wanted::read(value.get_ref())).collect::<Option<_>>().map(Condition)
        }
        value => Wanted::read(value).map(|wanted| Condition(vec![wanted])),
    }
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list with something else in it".to_owned(),
        value => describe(value),
    }
}

/// Anybody can say any address about themselves, until the issuer has sent something there.
fn warn_of_email(
    section: &mut Section<'_, '_>,
    require_location: &Location,
    require: &BTreeMap<Claim, Condition>,
    user_location: &Location,
    user: &Template,
) {
    let is_verified = require
        .iter()
        .any(|(claim, condition)| claim.is("email_verified") && condition.0 == [Wanted::Flag(true)]);
    let uses = [
        ("require", require_location, require.keys().any(|claim| claim.is("email"))),
        ("user", user_location, user.uses("email")),
    ];
    for (key, location, _) in uses.into_iter().filter(|(_, _, uses)| *uses && !is_verified) {
        let message = format!(
            "auth.issuer.{key}: the claim email may hold an address that is not the user's; add email_verified = true \
             to require"
        );
        section.report.warn(location, message);
    }
}
