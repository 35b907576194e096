use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const HOST: &str = "registry.example.com:5043";
const UPSTREAM: &str = "registry:5000";

fn authority(host: &str) -> Authority {
    Authority::read(&HeaderValue::from_str(host).unwrap()).unwrap()
}

fn rewritten(location: &str, status: u16, https: bool, host: &str, upstream: &str) -> Option<String> {
    let status = StatusCode::from_u16(status).unwrap();
    let client = authority(host);
    let upstream = Authority::of_host_and_port(upstream).unwrap();
    let value = rewrite(&location.parse().unwrap(), status, https, &client, &upstream)?;
    Some(value.to_str().unwrap().to_owned())
}

fn rewrite(
    location: &HeaderValue,
    status: StatusCode,
    https: bool,
    client: &Authority,
    server: &Authority,
) -> Option<HeaderValue> {
    let registry = Place { servers: std::slice::from_ref(server), named: None, path: "" };
    Rewriter { https, client, registry }.location(location, status)
}

#[test]
fn an_upload_goes_on_where_the_client_came_in() {
    let expected = "https://registry.example.com:5043/v2/x/blobs/uploads/u?_state=a";
    for location in [
        "/v2/x/blobs/uploads/u?_state=a",
        "//registry:5000/v2/x/blobs/uploads/u?_state=a",
        "//other.example/v2/x/blobs/uploads/u?_state=a",
        "http://registry:5000/v2/x/blobs/uploads/u?_state=a",
        "HTTP://REGISTRY:5000/v2/x/blobs/uploads/u?_state=a",
        "https://registry.example.com:5043/v2/x/blobs/uploads/u?_state=a",
        "http://registry.example.com/v2/x/blobs/uploads/u?_state=a",
        "https://other.example:8443/prefix/v2/x/blobs/uploads/u?_state=a",
        "/prefix/v2/x/blobs/uploads/u?_state=a",
        "http://user:password@registry:5000/v2/x/blobs/uploads/u?_state=a",
        "http://[::1]:5000/v2/x/blobs/uploads/u?_state=a",
        "http://[2001:db8::1]/v2/x/blobs/uploads/u?_state=a",
    ] {
        for status in [200, 201, 202, 204] {
            assert_eq!(
                rewritten(location, status, true, HOST, UPSTREAM).as_deref(),
                Some(expected),
                "{location}"
            );
        }
    }
}

#[test]
fn scheme_and_host_are_those_the_client_used() {
    for (https, host, expected) in [
        (true, "localhost", "https://localhost/v2/x/"),
        (true, "localhost:5043", "https://localhost:5043/v2/x/"),
        (true, "[::1]:5043", "https://[::1]:5043/v2/x/"),
        (true, "[2001:db8::1]", "https://[2001:db8::1]/v2/x/"),
        (false, "10.0.0.1:80", "http://10.0.0.1:80/v2/x/"),
    ] {
        assert_eq!(
            rewritten("http://registry:5000/v2/x/", 202, https, host, UPSTREAM).as_deref(),
            Some(expected)
        );
        assert_eq!(rewritten("/v2/x/", 307, https, host, UPSTREAM).as_deref(), Some(expected));
    }
}

#[test]
fn the_first_api_base_of_the_path_counts() {
    for (location, expected) in [
        ("/v2/v2/blobs/uploads/u", "https://h/v2/v2/blobs/uploads/u"),
        ("/v2/a/v2/blobs/uploads/u", "https://h/v2/a/v2/blobs/uploads/u"),
        ("/a/v2/b?c=/v2/d", "https://h/v2/b?c=/v2/d"),
        ("/v2/?a#/v2/", "https://h/v2/?a#/v2/"),
        // Without a base in the path, nothing is removed.
        ("/a?b=/v2/c", "https://h/a?b=/v2/c"),
        ("http://registry:5000/a", "https://h/a"),
    ] {
        assert_eq!(rewritten(location, 201, true, "h", UPSTREAM).as_deref(), Some(expected), "{location}");
    }
}

#[test]
fn redirects_to_another_host_pass() {
    for location in [
        "https://bucket.s3.eu-central-1.amazonaws.com/docker/registry/v2/blobs/sha256/ab/abcd/data?X-Amz-Signature=0",
        "http://other.example/v2/x",
        "https://registry.example.com:9000/bucket/data",
        "http://registry:5001/v2/x",
        "https://registry/v2/x",
        "http://registry:5000@other.example/v2/x",
        "https://[::1]:5000/v2/x",
        "https://",
        "//",
        "///v2/x",
    ] {
        assert_eq!(rewritten(location, 307, true, HOST, UPSTREAM), None, "{location}");
    }
}

#[test]
fn redirects_of_the_registry_to_itself() {
    for (location, host, upstream, expected) in [
        ("/v2/x/tags/list/", HOST, UPSTREAM, "https://registry.example.com:5043/v2/x/tags/list/"),
        ("/prefix/v2/x", HOST, UPSTREAM, "https://registry.example.com:5043/prefix/v2/x"),
        ("http://registry:5000/v2/x", HOST, UPSTREAM, "https://registry.example.com:5043/v2/x"),
        ("http://Registry.Example.com:5043/v2/x", HOST, UPSTREAM, "https://registry.example.com:5043/v2/x"),
        ("//registry:5000/v2/x", HOST, UPSTREAM, "https://registry.example.com:5043/v2/x"),
        ("http://u@registry:5000/v2/x", HOST, UPSTREAM, "https://registry.example.com:5043/v2/x"),
        ("http://registry:5000?x=1", HOST, UPSTREAM, "https://registry.example.com:5043?x=1"),
        // The default port is optional.
        ("http://registry/v2/x", "h", "registry:80", "https://h/v2/x"),
        ("http://registry:80/v2/x", "h", "registry", "https://h/v2/x"),
        ("https://registry:/v2/x", "h", "registry:443", "https://h/v2/x"),
        ("https://h:443/v2/x", "h", UPSTREAM, "https://h/v2/x"),
        ("http://h/v2/x", "h", UPSTREAM, "https://h/v2/x"),
        ("http://[::1]:5000/v2/x", "[::1]:5043", "[::1]:5000", "https://[::1]:5043/v2/x"),
        ("http://[::1]/v2/x", "h", "[::1]:80", "https://h/v2/x"),
        // Another host without a scheme gets the client's scheme.
        ("//s3.example/data", HOST, UPSTREAM, "https://s3.example/data"),
    ] {
        assert_eq!(rewritten(location, 307, true, host, upstream).as_deref(), Some(expected), "{location}");
    }
}

#[test]
fn what_is_no_reference_to_a_host_is_left_alone() {
    for location in
        ["", "x", "v2/x", "?a", "#a", "mailto:a@b", "ftp://registry:5000/v2/x", "http:/v2/x", "httpx://h/v2/"]
    {
        for status in [202, 307, 404] {
            assert_eq!(rewritten(location, status, true, HOST, UPSTREAM), None, "{location}");
        }
    }
}

#[test]
fn bytes_that_are_not_ascii_stay() {
    let location = HeaderValue::from_bytes(b"/v2/\xff?\xe4").unwrap();
    let upstream = authority(UPSTREAM);
    let value = rewrite(&location, StatusCode::ACCEPTED, true, &authority("h"), &upstream).unwrap();
    assert_eq!(value.as_bytes(), b"https://h/v2/\xff?\xe4");
}

proptest! {
    #[test]
    fn never_panics(location in prop::collection::vec(any::<u8>(), 0..40), status in 100u16..600, port: Option<u16>) {
        if let Ok(location) = HeaderValue::from_bytes(&location) {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let upstream = authority(&format!("registry{port}"));
            rewrite(&location, StatusCode::from_u16(status).unwrap(), true, &authority(HOST), &upstream);
        }
    }

    #[test]
    fn a_path_of_the_api_is_kept_whole(
        origin in "(https?:)?//([a-z]{1,5}@)?[a-z.]{1,8}(:[0-9]{1,5})?(/[a-z]{1,5}){0,2}|(/[a-z]{1,5}){0,2}",
        path in "/v2/[a-z0-9/%_.-]{0,20}(\\?[a-z=&/]{0,10})?",
    ) {
        let value = rewritten(&format!("{origin}{path}"), 202, true, HOST, UPSTREAM);
        prop_assert_eq!(value, Some(format!("https://{HOST}{path}")));
    }

    #[test]
    fn twice_is_once(path in "/([a-z0-9][a-z0-9/]{0,20})?", status in prop::sample::select(vec![201u16, 307])) {
        let once = rewritten(&path, status, true, HOST, UPSTREAM).unwrap();
        prop_assert_eq!(rewritten(&once, status, true, HOST, UPSTREAM), Some(once));
    }
}

/// What a registry below a path writes, which is told another host than the client's.
fn below_a_path(client: &Authority) -> Rewriter<'_> {
    static SERVERS: LazyLock<[Authority; 2]> = LazyLock::new(|| {
        ["registry:8081", "second.example"].map(|server| Authority::of_host_and_port(server).unwrap())
    });
    let servers = SERVERS.as_slice();
    let named = Some(HostPort::parse("inner.example").unwrap());
    Rewriter { https: true, client, registry: Place { servers, named, path: "/artifactory/local" } }
}

#[test]
fn every_form_of_an_own_address_below_a_path_is_put_right() {
    let client = authority(HOST);
    let rewriter = below_a_path(&client);
    let text = |value: Option<HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
    let expected = format!("https://{HOST}/v2/x/");
    for own in [
        "/artifactory/local/v2/x/",
        "//registry:8081/artifactory/local/v2/x/",
        "//inner.example/artifactory/local/v2/x/",
        "http://inner.example/artifactory/local/v2/x/",
        "https://inner.example:443/artifactory/local/v2/x/",
        "http://registry:8081/artifactory/local/v2/x/",
        "https://registry.example.com:5043/artifactory/local/v2/x/",
    ] {
        let value: HeaderValue = own.parse().unwrap();
        for status in [StatusCode::ACCEPTED, StatusCode::TEMPORARY_REDIRECT] {
            assert_eq!(text(rewriter.location(&value, status)).as_deref(), Some(&*expected), "{own}");
        }
        assert_eq!(text(rewriter.address(&value)).as_deref(), Some(&*expected), "{own}");
        let link = format!("<{own}>; rel=\"next\"").parse().unwrap();
        assert_eq!(text(rewriter.link(&link, "/v2/y/")), Some(format!("<{expected}>; rel=\"next\"")));
        let challenge = format!("Bearer realm=\"{own}\",service=\"x\"").parse().unwrap();
        assert_eq!(
            text(rewriter.challenge(&challenge)),
            Some(format!("Bearer realm=\"{expected}\",service=\"x\""))
        );
    }
}

#[test]
fn the_path_itself_of_a_registry_below_a_path_is_put_right() {
    let client = authority(HOST);
    let rewriter = below_a_path(&client);
    for (rest, ours) in [("", ""), ("/", "/"), ("?a=b", "?a=b"), ("ly/x", "/artifactory/locally/x")] {
        let value = format!("http://registry:8081/artifactory/local{rest}").parse().unwrap();
        assert_eq!(rewriter.address(&value).unwrap(), format!("https://{HOST}{ours}"));
    }
}

#[test]
fn a_challenge_leads_to_tidegate_however_it_is_written() {
    let client = authority(HOST);
    let rewriter = below_a_path(&client);
    let (own, ours) = ("http://registry:8081/artifactory/local/v2/token", format!("https://{HOST}/v2/token"));
    for challenge in [
        "Bearer realm = \"OWN\" , service=\"x\"",
        "Bearer REALM=OWN,service=x",
        "Basic realm=\"Registry\", Bearer realm=\"OWN\", DPoP realm=\"OWN\"",
        r#"Bearer error="realm=\"",x="realm=",realm="OWN""#,
        "Bearer realm=\"https://auth.example/\",resource_metadata=\"OWN\"",
    ] {
        let expected = challenge.replace("OWN", &ours);
        let value = challenge.replace("OWN", own).parse().unwrap();
        assert_eq!(rewriter.challenge(&value).unwrap(), expected, "{challenge}");
    }
}

#[test]
fn what_is_not_an_own_address_stays_as_it_is() {
    let client = authority(HOST);
    let rewriter = below_a_path(&client);
    for challenge in [
        "Bearer realm=\"https://auth.example/token\",service=\"x\"",
        "Bearer realm=\"//auth.example/token\"",
        "Bearer realm=\"https://inner.example.evil/token\"",
        "Basic realm=\"Registry Realm\"",
        "Bearer realm=\"unclosed",
        // The name of the service, under which the registry gives its tokens.
        "Bearer realm=\"https://auth.example/token\",service=\"http://registry:8081\"",
        "Bearer error_description=\"/artifactory/local/\"",
        "Negotiate",
    ] {
        assert_eq!(rewriter.challenge(&challenge.parse().unwrap()), None, "{challenge}");
    }
    for link in [
        "</v2/_catalog?last=a>; rel=\"next\"",
        "<https://other.example/a>",
        "<https://other.example/v2/x>; rel=\"help\"",
        "<https://other.example/v2/_catalogs?last=a>",
        "<https://other.example/a?b=/v2/_catalog>",
        "nonsense",
    ] {
        assert_eq!(rewriter.link(&link.parse().unwrap(), "/v2/_catalog"), None, "{link}");
    }
}

#[test]
fn the_next_page_is_on_tidegate_whatever_name_the_registry_believes_to_have() {
    let client = authority(HOST);
    let rewriter = below_a_path(&client);
    for list in ["/v2/_catalog", "/v2/x/tags/list", "/v2/v2/referrers/sha256:ab"] {
        let link = |origin: &str| format!("<{origin}{list}?last=b&n=1>; rel=\"next\"");
        for origin in
            ["http://unheard.example:5000", "//unheard.example", "https://unheard.example/a/b", "/a/b"]
        {
            let value = rewriter.link(&link(origin).parse().unwrap(), list).unwrap();
            assert_eq!(value, link(&format!("https://{HOST}")), "{origin}");
        }
    }
}
