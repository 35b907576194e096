use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn nets(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

fn behind(trusted: &[&str], peer: &str, lines: &[&str]) -> (String, String) {
    let fields: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
    let client = client(&headers(&fields), peer.parse().unwrap(), &nets(trusted));
    (client.address.to_string(), client.forwarded_for)
}

#[test]
fn the_rightmost_untrusted_address_is_the_client() {
    let trusted = ["10.0.0.0/8", "fd00::/8"];
    for (lines, address, chain) in [
        (&[][..], PROXY, PROXY),
        (&["192.0.2.1"], "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        (&["9.9.9.9, 192.0.2.1"], "192.0.2.1", "9.9.9.9, 192.0.2.1, 10.0.0.1"),
        (&["9.9.9.9, 192.0.2.1, 10.2.0.1"], "192.0.2.1", "9.9.9.9, 192.0.2.1, 10.2.0.1, 10.0.0.1"),
        (&["9.9.9.9", "192.0.2.1,10.2.0.1"], "192.0.2.1", "9.9.9.9, 192.0.2.1, 10.2.0.1, 10.0.0.1"),
        // If all are trusted, the farthest.
        (&["10.3.0.1, 10.2.0.1"], "10.3.0.1", "10.3.0.1, 10.2.0.1, 10.0.0.1"),
        // An invalid entry ends the search and is not forwarded.
        (&["192.0.2.1, unknown"], PROXY, "192.0.2.1, 10.0.0.1"),
        (&["192.0.2.1, unknown, 10.2.0.1"], "10.2.0.1", "192.0.2.1, 10.2.0.1, 10.0.0.1"),
        (&["192.0.2.1, 10.2.0.1:99999"], PROXY, "192.0.2.1, 10.0.0.1"),
        // Empty entries are ignored.
        (&["", " ,192.0.2.1, , ,"], "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        // Ports, IPv6, and IPv4-mapped IPv6 addresses.
        (&["192.0.2.1:555, 10.2.0.1:80"], "192.0.2.1", "192.0.2.1, 10.2.0.1, 10.0.0.1"),
        (&["2001:db8::1"], "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        (&["[2001:db8::1]"], "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        (&["[2001:db8::1]:99, [fd00::1]:99"], "2001:db8::1", "2001:db8::1, fd00::1, 10.0.0.1"),
        (&["::ffff:192.0.2.1, ::ffff:10.2.0.1"], "192.0.2.1", "192.0.2.1, 10.2.0.1, 10.0.0.1"),
        (&["[192.0.2.1]"], PROXY, PROXY),
    ] {
        assert_eq!(behind(&trusted, PROXY, lines), (address.to_owned(), chain.to_owned()), "{lines:?}");
        assert_eq!(
            behind(&trusted, "::ffff:10.0.0.1", lines),
            (address.to_owned(), chain.to_owned()),
            "{lines:?}"
        );
    }
}

#[test]
fn a_stranger_is_not_believed() {
    for trusted in [&[][..], &["10.1.0.0/16", "::/0"]] {
        let headers = headers(&[
            ("X-Forwarded-For", "9.9.9.9"),
            ("X-Forwarded-Proto", "http"),
            ("X-Real-IP", "9.9.9.9"),
            ("Forwarded", "for=9.9.9.9;proto=http"),
        ]);
        let peer = PROXY.parse().unwrap();
        let expected =
            Client { peer, address: peer, https: true, proxies: 0, forwarded_for: PROXY.to_owned() };
        assert_eq!(client(&headers, peer, &nets(trusted)), expected);
    }
}

#[test]
fn mapped_networks_are_ipv4_networks() {
    assert_eq!(behind(&["::ffff:10.0.0.0/104"], PROXY, &["192.0.2.1"]).0, "192.0.2.1");
    assert_eq!(behind(&["::ffff:10.0.0.0/104"], "11.0.0.1", &["192.0.2.1"]).0, "11.0.0.1");
    assert_eq!(
        behind(&["::1/128"], "::1", &["192.0.2.1"]),
        ("192.0.2.1".to_owned(), "192.0.2.1, ::1".to_owned())
    );
}

#[test]
fn a_chain_has_an_end() {
    let chain = vec!["10.2.0.1"; 1000].join(",");
    let (address, forwarded_for) = behind(&["10.0.0.0/8"], PROXY, &["192.0.2.1", &chain]);
    assert_eq!(address, "10.2.0.1");
    assert_eq!(forwarded_for.split(", ").count(), MAX_HOPS + 1);
}

#[test]
fn only_one_plain_http_is_believed() {
    for (lines, https) in [
        (&[][..], true),
        (&["https"], true),
        (&["http"], false),
        (&["HTTP"], false),
        (&["http,https"], true),
        (&["http, http"], true),
        (&["http", "http"], true),
        (&["ftp"], true),
        (&[""], true),
    ] {
        let fields: Vec<_> = lines.iter().map(|line| ("X-Forwarded-Proto", *line)).collect();
        let client = client(&headers(&fields), PROXY.parse().unwrap(), &nets(&["10.0.0.0/8"]));
        assert_eq!(client.https, https, "{lines:?}");
    }
}

#[test]
fn claims_go_and_the_truth_is_set() {
    let mut headers = headers(&[
        ("Forwarded", "for=9.9.9.9"),
        ("X-Forwarded-For", "9.9.9.9"),
        ("X-Forwarded-For", "8.8.8.8"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Client-Cert", "Hash=00"),
        ("X-Forwarded-Host", "evil"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded", "x"),
        ("X-Real-IP", "9.9.9.9"),
        ("X-Client-Cert", "x"),
        ("True-Client-IP", "9.9.9.9"),
        ("CF-Connecting-IP", "9.9.9.9"),
        ("X-Cluster-Client-IP", "9.9.9.9"),
        ("X-ProxyUser-IP", "9.9.9.9"),
        ("X-SSL-Client-Verify", "SUCCESS"),
        ("SSL-Client-Cert", "x"),
        ("X-Original-URL", "/v2/smuggled"),
        ("X-Rewrite-URL", "/v2/smuggled"),
        ("X-HTTP-Method", "DELETE"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Method-Override", "DELETE"),
        ("X-HTTP-Host-Override", "evil"),
        ("X-Host", "evil"),
        ("Remote-User", "admin"),
        ("X-Remote-User", "admin"),
        ("X-WebAuth-User", "admin"),
        ("X-Auth-Request-User", "admin"),
        ("X-Authenticated-User", "admin"),
        ("X-Envoy-External-Address", "9.9.9.9"),
        ("X-User", "admin"),
        ("X-UserId", "admin"),
        ("X-Tidegate-User", "admin"),
        ("X_Real_IP", "9.9.9.9"),
        ("Transfer_Encoding", "chunked"),
        ("X.Real.IP", "9.9.9.9"),
        ("Host", "registry.example.com:5043"),
        ("Authorization", "Basic x"),
        ("User-Agent", "docker/27.3.1"),
        ("X-Meta-Something", "kept"),
        ("Docker-Content-Digest", "kept"),
    ]);
    let client = Client {
        peer: PROXY.parse().unwrap(),
        address: "2001:db8::1".parse().unwrap(),
        https: true,
        proxies: 1,
        forwarded_for: "2001:db8::1, 10.0.0.1".to_owned(),
    };
    rewrite(&mut headers, &client, &HeaderValue::from_static("registry.example.com:5043"));
    let mut left: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            ("authorization", "Basic x"),
            ("docker-content-digest", "kept"),
            ("host", "registry.example.com:5043"),
            ("user-agent", "docker/27.3.1"),
            ("x-forwarded-for", "2001:db8::1, 10.0.0.1"),
            ("x-forwarded-host", "registry.example.com:5043"),
            ("x-forwarded-proto", "https"),
            ("x-meta-something", "kept"),
            ("x-real-ip", "2001:db8::1"),
        ]
    );
}

#[test]
fn a_client_without_tls_is_reported_as_such() {
    let mut headers = HeaderMap::new();
    let peer = PROXY.parse().unwrap();
    let client = Client { peer, address: peer, https: false, proxies: 1, forwarded_for: PROXY.to_owned() };
    rewrite(&mut headers, &client, &HeaderValue::from_static("h"));
    assert_eq!(headers["x-forwarded-proto"], "http");
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let entry = prop_oneof![
        3 => (0u8..4, any::<u8>()).prop_map(|(net, host)| format!("10.{net}.0.{host}")),
        2 => any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]:99")),
        1 => "[0-9a-f.:\\[\\], ]{0,20}",
        1 => "[ -~]{0,10}",
    ];
    let line = prop_oneof![
        4 => prop::collection::vec(entry, 0..6).prop_map(|entries| entries.join(", ").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(line, 0..4)
}

proptest! {
    #[test]
    fn the_client_is_the_peer_or_someone_in_the_chain(lines in lines(), peer: std::net::Ipv4Addr, trust: bool) {
        let peer = IpAddr::V4(peer);
        let mut headers = HeaderMap::new();
        for line in &lines {
            if let Ok(line) = HeaderValue::from_bytes(line) {
                headers.append(&X_FORWARDED_FOR, line);
            }
        }
        let mut trusted = nets(&["10.0.0.0/14"]);
        if trust {
            trusted.push(IpNet::from(peer));
        }
        let client = client(&headers, peer, &trusted);
        let chain: Vec<IpAddr> =
            client.forwarded_for.split(", ").map(|entry| entry.parse().unwrap()).collect();
        prop_assert_eq!(chain.last(), Some(&peer));
        prop_assert!(chain.contains(&client.address));
        if !is_trusted(peer, &trusted) {
            prop_assert_eq!(chain.len(), 1);
        }
        rewrite(&mut headers, &client, &HeaderValue::from_static("h"));
        prop_assert_eq!(headers.len(), 4);
    }
}
