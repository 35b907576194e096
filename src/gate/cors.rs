//! Web pages of other origins: the fields that let a browser hand them an answer, and the
//! preflight, the browser's question before a request.
//! <https://fetch.spec.whatwg.org/#cors-protocol>

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS as ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS as ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS as ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN as ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS as EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE as MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD as REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::refusal::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use crate::config::{Allowed, Cors};
use crate::header::origin::Origin;
use crate::header::single::single;
use crate::registry::target::METHODS;

/// The fields that a page may send: those of registry clients, and those of usual libraries.
const REQUEST_FIELDS: &str = "Authorization, Accept, Content-Type, Content-Range, Range, Cache-Control, Pragma, \
    If-Match, If-None-Match, If-Modified-Since, Docker-Content-Digest, X-Requested-With";
/// The fields of an answer that a page may read.
const ANSWER_FIELDS: &str = "Docker-Content-Digest, Docker-Distribution-Api-Version, Docker-Upload-UUID, \
    WWW-Authenticate, Link, Location, Range, Content-Range, Content-Length, Accept-Ranges, ETag, Allow, \
    Retry-After, Warning, X-Request-Id, OCI-Subject, OCI-Filters-Applied, OCI-Chunk-Min-Length";
/// Seconds for which a browser may remember the answer to a preflight.
const REMEMBERED: &str = "3600";

/// What `[cors]` says about one request.
pub(super) struct Sharing {
    /// The value of `Access-Control-Allow-Origin`; `None` if the page's origin is not listed, or
    /// if no page sent the request.
    origin: Option<HeaderValue>,
    /// Whether the browser may send what it has stored: a password, a client certificate.
    credentials: bool,
    /// Whether the browser asks what it may send.
    preflight: bool,
}

impl Sharing {
    /// `None` without `[cors]`.
    pub(super) fn of<B>(cors: &Cors, request: &Request<B>) -> Option<Self> {
        if cors.origins.is_empty() {
            return None;
        }
        let headers = request.headers();
        let is_page = headers.contains_key(ORIGIN);
        let is_named = sent_by(headers).is_some_and(|origin| cors.origins.contains(&Allowed::Origin(origin)));
        let any = (is_page && cors.origins.contains(&Allowed::Any)).then(|| HeaderValue::from_static("*"));
        let preflight =
            is_page && request.method() == Method::OPTIONS && headers.contains_key(REQUEST_METHOD);
        let origin = if is_named { headers.get(ORIGIN).cloned() } else { any };
        Some(Self { origin, credentials: is_named, preflight })
    }

    pub(super) fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// The answer to a preflight, without the fields of [`Sharing::mark`]. Browsers send it without
    /// a password.
    pub(super) fn answer(&self) -> Result<Response<Source>, Refusal> {
        if self.origin.is_none() {
            return Err(Refusal::ForeignOrigin);
        }
        let mut response = Response::new(Source::from(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(API_VERSION, API_VERSION_VALUE);
        Ok(response)
    }

    /// Replaces what the registry says about sharing its answer.
    pub(super) fn mark(self, headers: &mut HeaderMap) {
        let is_about_sharing = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        let registrys: Vec<_> = headers.keys().filter(is_about_sharing).cloned().collect();
        for name in registrys {
            headers.remove(name);
        }
        if !headers.get_all(VARY).iter().any(names_origin) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        headers.insert(ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if self.preflight {
            headers.insert(ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(ALLOW_HEADERS, HeaderValue::from_static(REQUEST_FIELDS));
            headers.insert(MAX_AGE, HeaderValue::from_static(REMEMBERED));
        } else {
            headers.insert(EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_FIELDS));
        }
    }
}

/// The only `Origin` of a request.
fn sent_by(headers: &HeaderMap) -> Option<Origin> {
    Origin::parse(single(headers, &ORIGIN)?.to_str().ok()?).ok()
}

fn names_origin(vary: &HeaderValue) -> bool {
    let is_origin = |name: &[u8]| matches!(name, b"*") || name.eq_ignore_ascii_case(b"origin");
    vary.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(is_origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn cors(origins: &str) -> Cors {
        let text = format!("[tls]\ncertificate = 'a'\nkey = 'b'\n[cors]\norigins = {origins}\n");
        Config::parse(std::path::Path::new("proxy.toml"), &text, &[]).unwrap().cors
    }

    fn request(method: Method, fields: &[(HeaderName, &str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        for (name, value) in fields {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    /// The fields of an answer to a page of `origin`.
    fn answer(origins: &str, origin: &[&str]) -> HeaderMap {
        let fields: Vec<_> = origin.iter().map(|origin| (ORIGIN, *origin)).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in [(ALLOW_ORIGIN, "*"), (ALLOW_CREDENTIALS, "true"), (VARY, "Accept")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Sharing::of(&cors(origins), &request(Method::GET, &fields)).unwrap().mark(&mut headers);
        headers
    }

    #[test]
    fn only_a_named_origin_gets_credentials() {
        let ui = r#"["https://UI.example.com:443"]"#;
        let headers = answer(ui, &["https://ui.example.com"]);
        assert_eq!(headers[ALLOW_ORIGIN], "https://ui.example.com");
        assert_eq!(headers[ALLOW_CREDENTIALS], "true");
        assert!(headers[EXPOSE_HEADERS].to_str().unwrap().contains("Docker-Content-Digest"));
        for others in [
            &[][..],
            &["https://evil.test"],
            &["https://ui.example.com.evil.test"],
            &["http://ui.example.com"],
            &["null"],
            &["https://ui.example.com https://evil.test"],
            &["https://ui.example.com", "https://ui.example.com"],
        ] {
            let headers = answer(ui, others);
            assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{others:?}");
            let vary: Vec<_> = headers.get_all(VARY).iter().collect();
            assert_eq!(vary, ["Accept", "Origin"], "{others:?}");
        }
    }

    #[test]
    fn a_star_gives_no_credentials_except_to_those_named_beside_it() {
        let headers = answer(r#"["*"]"#, &["https://any.test"]);
        assert_eq!(headers[ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ALLOW_CREDENTIALS));
        assert!(!answer(r#"["*"]"#, &[]).contains_key(ALLOW_ORIGIN));
        let named = answer(r#"["*", "https://ui.test"]"#, &["https://ui.test"]);
        assert_eq!(
            (&named[ALLOW_ORIGIN], &named[ALLOW_CREDENTIALS]),
            (&"https://ui.test".parse().unwrap(), &"true".parse().unwrap())
        );
    }

    #[test]
    fn a_preflight_is_options_with_an_origin_and_a_method() {
        let cors = cors(r#"["https://ui.test"]"#);
        let (origin, asks) = ((ORIGIN, "https://ui.test"), (REQUEST_METHOD, "DELETE"));
        for (method, fields, is) in [
            (Method::OPTIONS, &[origin.clone(), asks.clone()][..], true),
            (Method::GET, &[origin.clone(), asks.clone()], false),
            (Method::OPTIONS, std::slice::from_ref(&origin), false),
            (Method::OPTIONS, std::slice::from_ref(&asks), false),
        ] {
            let sharing = Sharing::of(&cors, &request(method, fields)).unwrap();
            assert_eq!(sharing.is_preflight(), is, "{fields:?}");
        }
        let foreign = [(ORIGIN, "https://evil.test"), asks];
        let sharing = Sharing::of(&cors, &request(Method::OPTIONS, &foreign)).unwrap();
        assert!(matches!(sharing.answer(), Err(Refusal::ForeignOrigin)));
        assert!(Sharing::of(&Cors::default(), &request(Method::GET, &[origin])).is_none());
    }

    #[test]
    fn the_registrys_vary_is_kept_and_not_doubled() {
        for (vary, whole) in [("origin", false), ("Accept, Origin", false), ("*", false), ("Accept", true)] {
            assert_eq!(!names_origin(&HeaderValue::from_static(vary)), whole, "{vary}");
        }
    }
}
