//! Blocks of settings: completed to a whole proxy.toml, with the files that they name.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::command;

/// The key of RFC 7517, appendix A.1, as an issuer publishes it.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","kid":"1","alg":"ES256",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// A part of a file: the header of the section, as written, and its text with the header.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections = vec![(String::new(), String::new())];
    for line in text.lines() {
        if line.starts_with('[') {
            let header = line.split(" #").next().unwrap().trim().to_owned();
            sections.push((header, String::new()));
        }
        let (_, section) = sections.last_mut().unwrap();
        section.push_str(line);
        section.push('\n');
    }
    sections
}

/// A fragment, followed by the sections of `whole` that it does not have itself.
pub fn completed(fragment: &str, whole: &str) -> String {
    let written: Vec<String> = sections(fragment).into_iter().map(|(header, _)| header).collect();
    let missing = sections(whole).into_iter().filter(|(header, _)| !written.contains(header));
    let missing: String = missing.map(|(_, text)| format!("\n{text}")).collect();
    format!("{fragment}{missing}")
}

/// The text with absolute paths moved below `folder`, so that nothing outside of it is touched.
pub fn moved(text: &str, folder: &Path) -> String {
    text.replace("\"/", &format!("\"{}/", folder.display()))
}

/// Makes the certificates, CAs, users and keys that the settings in `text` name, if `folder` has
/// none.
pub fn lay_out(text: &str, folder: &Path) {
    let Ok(settings) = text.parse::<Table>() else { return };
    let section = |name: &str| settings.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    let (tls, auth, token) = (section("tls"), section("auth"), section("token"));
    let client = tls.get("client").and_then(Value::as_table).cloned().unwrap_or_default();
    let several = tls.get("certificates").and_then(Value::as_array).into_iter().flatten();
    let pairs = several.filter_map(Value::as_table).chain([&tls]);

    let authority = folder.join("ca");
    if !authority.join("ca.key").exists() {
        command::tidegate(folder, &["cert", "ca", "--crl", "--out", "ca"]);
    }
    let names = strings(section("server").get("names")).into_iter().chain(strings(client.get("names")));
    let names: Vec<String> = names.chain(["registry.example.com".to_owned()]).collect();
    for pair in pairs {
        if let Some(certificate) = missing(pair.get("certificate"), folder) {
            let scratch = tempfile::tempdir_in(folder).unwrap();
            let out = scratch.path().to_str().unwrap();
            let mut arguments = vec!["cert", "server", "--ca", "ca", "--out", out];
            arguments.extend(names.iter().map(String::as_str));
            command::tidegate(folder, &arguments);
            place(&scratch.path().join("domain.crt"), folder, &certificate);
            if let Some(key) = missing(pair.get("key"), folder) {
                place(&scratch.path().join("domain.key"), folder, &key);
            }
        }
    }
    if let Some(path) = missing(client.get("ca"), folder) {
        place(&authority.join("ca.crt"), folder, &path);
    }
    for path in strings(client.get("crl")).into_iter().filter(|path| !folder.join(path).exists()) {
        place(&authority.join("ca.crl"), folder, &path);
    }
    if let Some(path) = missing(tls.get("ticket_keys"), folder) {
        fs::write(folder.join("tickets"), "A".repeat(64)).unwrap();
        command::chmod(&folder.join("tickets"), 0o640);
        place(&folder.join("tickets"), folder, &path);
    }
    let shared = section("shared");
    for path in ["password_file", "secret_file"].iter().filter_map(|key| missing(shared.get(*key), folder)) {
        fs::write(folder.join("line"), "A".repeat(64)).unwrap();
        command::chmod(&folder.join("line"), 0o640);
        place(&folder.join("line"), folder, &path);
    }
    if let Some(path) = missing(shared.get("ca"), folder) {
        place(&authority.join("ca.crt"), folder, &path);
    }
    let service = auth.get("http").and_then(Value::as_table).cloned().unwrap_or_default();
    if let Some(path) = missing(service.get("secret"), folder) {
        fs::write(folder.join("line"), "A".repeat(32)).unwrap();
        command::chmod(&folder.join("line"), 0o640);
        place(&folder.join("line"), folder, &path);
    }
    if let Some(path) = missing(section("acme").get("eab_key"), folder) {
        fs::write(folder.join("hmac"), "A".repeat(64)).unwrap();
        command::chmod(&folder.join("hmac"), 0o640);
        place(&folder.join("hmac"), folder, &path);
    }
    let nested = |name: &str| auth.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    let (ldap, http) = (nested("ldap"), nested("http"));
    let issuers = auth.get("issuer").and_then(Value::as_array).into_iter().flatten();
    let issuers: Vec<&Table> = issuers.filter_map(Value::as_table).collect();
    for source in issuers.iter().copied().chain([&ldap, &http]) {
        if let Some(path) = missing(source.get("ca"), folder) {
            place(&authority.join("ca.crt"), folder, &path);
        }
    }
    for path in [ldap.get("bind_password"), http.get("secret")].iter().filter_map(|key| missing(*key, folder))
    {
        fs::write(folder.join("line"), "A".repeat(64)).unwrap();
        command::chmod(&folder.join("line"), 0o640);
        place(&folder.join("line"), folder, &path);
    }
    for path in issuers.iter().filter_map(|issuer| missing(issuer.get("keys"), folder)) {
        fs::write(folder.join("jwks"), JWKS).unwrap();
        place(&folder.join("jwks"), folder, &path);
    }
    if let Some(path) = missing(token.get("key"), folder) {
        fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
        command::tidegate(folder, &["token", &path]);
    }
    for key in ["password_file", "secret_file"] {
        if let Some(path) = missing(section("shared").get(key), folder) {
            fs::write(folder.join("engine"), "A".repeat(64)).unwrap();
            command::chmod(&folder.join("engine"), 0o640);
            place(&folder.join("engine"), folder, &path);
        }
    }
    if let Some(path) = missing(section("shared").get("ca"), folder) {
        place(&authority.join("ca.crt"), folder, &path);
    }
    if let Some(path) = missing(section("admin").get("htpasswd"), folder) {
        lay_out_users(&settings, folder, &path);
    }
    if let Some(path) = section("log").get("audit").and_then(Value::as_str) {
        fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
    }
    if section("auth").get("mode").and_then(Value::as_str) != Some("off") {
        let file = auth.get("htpasswd").and_then(Value::as_str).unwrap_or("auth/htpasswd");
        lay_out_users(&settings, folder, file);
    }
}

/// Adds the users that the rules name to the htpasswd `file`.
fn lay_out_users(settings: &Table, folder: &Path, file: &str) {
    let groups = settings.get("groups").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let rules = settings.get("access").and_then(Value::as_array).into_iter().flatten();
    let lists = groups.chain(rules.filter_map(|rule| rule.get("users")));
    let users = lists.flat_map(|list| strings(Some(list)));
    let users = users.filter(|user| user != "*" && user != "anonymous" && !user.starts_with('@'));
    // Such a name is a job's.
    let users = users.filter(|user| !user.contains(':'));
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for user in users.chain(["alice".to_owned()]) {
        let there = fs::read_to_string(&path).unwrap_or_default();
        if !there.lines().any(|line| line.starts_with(&format!("{user}:"))) {
            command::tidegate(folder, &["htpasswd", "add", "--cost", "4", file, &user]);
        }
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The path, if a file is named that is not there.
fn missing(value: Option<&Value>, folder: &Path) -> Option<String> {
    let path = value?.as_str().filter(|path| !path.is_empty())?;
    (!folder.join(path).exists()).then(|| path.to_owned())
}

fn place(file: &Path, folder: &Path, path: &str) {
    let target = folder.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(file, target).unwrap();
}
