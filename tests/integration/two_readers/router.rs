//! How a registry reads a request, reimplemented from distribution 2.8
//! (`registry/api/v2/descriptors.go`, `routes.go`, `registry/handlers/app.go`), gorilla/mux 1.8,
//! which routes by the decoded path, and Go's `net/url`.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// A path as the registry reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub route: &'static str,
    pub repository: String,
    pub reference: String,
}

/// Reads the path of a request. `None` where the registry redirects or does not know the path.
pub fn read(path: &str) -> Option<Reading> {
    let path = unescape(path.as_bytes(), false)?;
    if !is_clean(&path) {
        return None;
    }
    let (route, found) = ROUTES.iter().find_map(|(route, regex)| Some((*route, regex.captures(&path)?)))?;
    // StrictSlash: a path that differs from its template in the last slash is redirected.
    if path.ends_with(b"/") != matches!(route, "base" | "uploads") {
        return None;
    }
    let part =
        |name| found.name(name).map_or(String::new(), |part| String::from_utf8_lossy(part.as_bytes()).into());
    Some(Reading { route, repository: part("name"), reference: part("reference") })
}

/// Whether the registry redirects the path to `/v2/`, before it asks who the client is.
pub fn is_base_without_slash(path: &str) -> bool {
    unescape(path.as_bytes(), false).is_some_and(|path| path == b"/v2")
}

/// The actions that distribution requires, or `None` where the API does not have the method.
/// Cancelling an upload only needs the right to push.
pub fn needs(route: &str, method: &str) -> Option<&'static [&'static str]> {
    match (route, method) {
        ("base" | "catalog", "GET" | "HEAD") => Some(&[]),
        ("tags" | "manifest" | "blob" | "referrers", "GET" | "HEAD") => Some(&["pull"]),
        ("manifest", "PUT") => Some(&["pull", "push"]),
        ("manifest" | "blob", "DELETE") => Some(&["delete"]),
        ("uploads", "POST") | ("upload", "GET" | "HEAD" | "PATCH" | "PUT") => Some(&["pull", "push"]),
        ("upload", "DELETE") => Some(&["push"]),
        _ => None,
    }
}

/// All values of a query parameter, as Go reads them. `old` Go also separates parameters at
/// semicolons; newer Go ignores parameters that contain one.
pub fn values(query: &str, key: &str, old: bool) -> Vec<String> {
    let parameters = query.split(|char| char == '&' || (old && char == ';'));
    let pairs = parameters.filter(|parameter| !parameter.contains(';')).filter_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((unescape(key.as_bytes(), true)?, unescape(value.as_bytes(), true)?))
    });
    let wanted = pairs.filter(|(found, _)| found == key.as_bytes());
    wanted.map(|(_, value)| String::from_utf8_lossy(&value).into()).collect()
}

/// Whether name and reference match the grammar of the specification. distribution's routes allow
/// more, and it refuses the rest later.
pub fn fits_specification(reading: &Reading) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        let component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
        Regex::new(&format!("^{component}(?:/{component})*$")).unwrap()
    });
    static SHA: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$").unwrap());
    let named = !matches!(reading.route, "base" | "catalog");
    let name = reading.repository.as_bytes();
    let sha = reading.reference.starts_with("sha256:") || reading.reference.starts_with("sha512:");
    (!named || (name.len() <= 255 && NAME.is_match(name)))
        && (!sha || SHA.is_match(reading.reference.as_bytes()))
}

/// In the order in which distribution registers them; `referrers` is from the specification.
static ROUTES: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let host = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let domain = format!(r"{host}(?:(?:\.{host})+)?(?::[0-9]+)?");
    let component = "[a-z0-9]+(?:(?:(?:[._]|__|[-]*)[a-z0-9]+)+)?";
    let name = format!("(?P<name>(?:{domain}/)?{component}(?:(?:/{component})+)?)");
    let digest = "[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+";
    let tag = "[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}";
    [
        ("base", "/v2".to_owned()),
        ("tags", format!("/v2/{name}/tags/list")),
        ("manifest", format!("/v2/{name}/manifests/(?P<reference>{tag}|{digest})")),
        ("blob", format!("/v2/{name}/blobs/(?P<reference>{digest})")),
        ("uploads", format!("/v2/{name}/blobs/uploads")),
        // Registries other than distribution allow any unreserved characters in an id.
        ("upload", format!("/v2/{name}/blobs/uploads/(?P<reference>[a-zA-Z0-9-_.=~]+)")),
        ("catalog", "/v2/_catalog".to_owned()),
        ("referrers", format!("/v2/{name}/referrers/(?P<reference>{digest})")),
    ]
    .map(|(route, path)| (route, Regex::new(&format!("(?-u)^{path}[/]?$")).unwrap()))
    .into()
});

/// Go's `url.PathUnescape` and `url.QueryUnescape`.
fn unescape(text: &[u8], is_query: bool) -> Option<Vec<u8>> {
    let mut bytes = text.iter();
    let mut plain = Vec::new();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if is_query => b' ',
            byte => byte,
        });
    }
    Some(plain)
}

/// gorilla/mux redirects every path that `path.Clean` would change.
fn is_clean(path: &[u8]) -> bool {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let inner = &segments[1..segments.len().max(2) - 1];
    let is_dots = |segment: &&[u8]| [&b"."[..], b".."].contains(segment);
    segments[0].is_empty() && !inner.iter().any(|segment| segment.is_empty()) && !segments.iter().any(is_dots)
}

#[test]
fn the_last_marker_wins() {
    for (path, route, repository, reference) in [
        ("/v2/", "base", "", ""),
        ("/v2/a/manifests/tags/list", "tags", "a/manifests", ""),
        ("/v2/a/blobs/uploads/manifests/x", "manifest", "a/blobs/uploads", "x"),
        ("/v2/a/%6Danifests/a%3ab", "manifest", "a", "a:b"),
        ("/v2/a/blobs/uploads/", "uploads", "a", ""),
        ("/v2/Host.example:5000/a/tags/list", "tags", "Host.example:5000/a", ""),
    ] {
        let (repository, reference) = (repository.to_owned(), reference.to_owned());
        assert_eq!(read(path), Some(Reading { route, repository, reference }), "{path}");
    }
    for path in [
        "/v2",
        "/v2//",
        "/v2/a/tags/list/",
        "/v2/a/blobs/uploads",
        "/v2/a/../b/tags/list",
        "/v2/a%252eb/tags/list",
    ] {
        assert_eq!(read(path), None, "{path}");
    }
    assert_eq!(values("a=1&%61=+;a=3&a", "a", false), ["1", ""]);
    assert_eq!(values("a=1&%61=+;a=3&a", "a", true), ["1", " ", "3", ""]);
}
