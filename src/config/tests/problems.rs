//! Every mistake causes one clear message with the right place.

use super::*;

/// The only problem of `lines` after a valid `[tls]`, which takes lines 1 to 3.
fn problem(lines: &str) -> String {
    let problems = problems(&format!("{PAIR}{lines}\n"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn five_mistakes_are_five_problems_in_file_order() {
    let text = r#"[server]
listen = ["0.0.0.0:443", "localhost"]
drain_timout = "60s"
trusted_proxies = ["10.0.0.0/33"]

[limits]
idle_timeout = 60
connections = 0

[tls]
certificate = "c.crt"
"#;
    assert_eq!(
        problems(text),
        [
            r#"proxy.toml:2:26: server.listen: found "localhost" (it is not a valid IP address and port); write an IP address and a port, such as "0.0.0.0:443" or "[::]:443""#,
            r#"proxy.toml:3:1: unknown key "drain_timout" in [server]; did you mean "drain_timeout"?"#,
            r#"proxy.toml:4:20: server.trusted_proxies: found "10.0.0.0/33" (the prefix length is too large); write a network or an address, such as "10.0.0.0/8" or "192.0.2.7""#,
            r#"proxy.toml:7:16: limits.idle_timeout: found the number 60 (the unit is missing); write "60s", or another duration from "1ms" to "1d""#,
            "proxy.toml:8:15: limits.connections: found 0; write a whole number from 1 to 1000000, without quotes"
                .replace("found 0", "found the number 0")
                .as_str(),
            r#"proxy.toml:11:15: tls.key is missing; write key = "certs/domain.key""#,
        ]
    );
}

#[test]
fn syntax_errors_do_not_hide_the_rest() {
    let text = "[server]\nlisten = [\"0.0.0.0:443\"\nnames = []\n[limits]\nheaders = many\nidle_timeout = \"1x\"\n\
                idle_timeout = \"1s\"\n[lg]\n";
    let problems = problems(text);
    let places: Vec<_> =
        problems.iter().map(|problem| problem.split(": ").next().unwrap_or_default()).collect();
    let expected =
        ["proxy.toml:3:1", "proxy.toml:5:11", "proxy.toml:6:16", "proxy.toml:7:1", "proxy.toml:8:2"];
    assert_eq!(places, expected, "{problems:#?}");
}

#[test]
fn all_mistakes_with_client_certificates_are_reported() {
    let text = format!(
        "{PAIR}[tls.client]\nverify = \"off\"\ncrl = 5\nnames = [\"a b\"]\nreject_status = 401\nuser_from = \"dn\"\n"
    );
    let problems = problems(&text);
    let places: Vec<_> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        ["proxy.toml:6:7", "proxy.toml:7:10", "proxy.toml:8:17", "proxy.toml:9:13"],
        "{problems:#?}"
    );
}

#[test]
fn sections_that_would_do_nothing_are_reported() {
    assert_eq!(
        problem("[tls.client]\nca = \"ca.crt\""),
        "proxy.toml:4:1: tls.client.verify is missing, and without it clients are not asked for certificates; \
         write verify = \"required\", \"optional\" or \"off\""
    );
    let problems = problems("[acme]\ndomains = [\"a.test\"]\n");
    assert!(problems[0].contains("acme.names is missing; write names = "), "{problems:#?}");
    assert_eq!(problems.len(), 2, "{problems:#?}");
}

#[test]
fn both_needs_certificates_and_passwords() {
    let both = "[auth]\nclient_certificate = \"both\"";
    assert_eq!(
        problem(both),
        "proxy.toml:5:22: auth.client_certificate: \"both\" needs client certificates; set tls.client.verify to \"required\""
    );
    assert_eq!(
        problem(&format!("{both}\nmode = \"off\"\n[tls.client]\nverify = \"optional\"")),
        "proxy.toml:5:22: auth.client_certificate: \"both\" needs passwords; set auth.mode to \"basic\" or \"token\""
    );
    assert!(parse(&format!("{PAIR}{both}\n[tls.client]\nverify = \"optional\"")).is_ok());
}

#[test]
fn a_mode_that_does_not_exist_is_refused_with_those_that_do() {
    assert_eq!(
        problem("[auth]\nmode = \"digest\""),
        r#"proxy.toml:5:8: auth.mode: found "digest"; write "basic", "token" or "off""#
    );
}

#[test]
fn other_names_for_sections_are_understood() {
    for (lines, message) in [
        ("[health]", "proxy.toml:4:2: unknown section [health]; did you mean [upstream]?"),
        (
            "[[upstreams]]\nurl = \"http://a\"",
            "proxy.toml:4:3: unknown section [[upstreams]]; did you mean [upstream]?",
        ),
        (
            "[[registries]]\nurl = \"http://a\"",
            "proxy.toml:4:3: unknown section [[registries]]; did you mean [[route]]?",
        ),
        (
            "[[upstream]]\nservers = [\"http://a\"]\n[[upstream]]\nservers = [\"http://b\"]",
            "proxy.toml:4:1: [[upstream]]: several servers of one registry belong into upstream.servers, other registries into \
             [[route]]; write [upstream], once",
        ),
    ] {
        assert_eq!(problem(lines), message);
    }
    assert_eq!(
        problem("[[log]]\nlevel = \"info\""),
        "proxy.toml:4:1: [[log]]: this section is not a list; write [log], once"
    );
}

#[test]
fn a_quantity_without_its_unit_is_reported_with_it() {
    for (lines, message) in [
        (
            "[auth]\ncache_ttl = 300",
            r#"5:13: auth.cache_ttl: found the number 300 (the unit is missing); write "300s", or another duration from "0s" to "1d""#,
        ),
        (
            "[auth]\ncache_ttl = 300000",
            r#"5:13: auth.cache_ttl: found the number 300000 (the unit is missing); write "300000ms", or another"#,
        ),
        (
            "[limits]\nidle_timeout = \"60\"",
            r#"5:16: limits.idle_timeout: found "60" (the unit is missing); write "60s", or another duration"#,
        ),
        (
            "[limits]\nidle_timeout = 0.5",
            r#"5:16: limits.idle_timeout: found the number 0.5 (the unit is missing); write "500ms", or"#,
        ),
        ("[limits]\nidle_timeout = \"1m30s\"", r#"write "90s", or another duration"#),
        (
            "[limits]\nmin_rate = 500",
            r#"5:12: limits.min_rate: found the number 500 (the unit is missing); write "500B/s", or another rate"#,
        ),
        ("[limits]\nheader_bytes = \"32K\"", r#"write "32KiB", or another size from "8KiB" to "1MiB""#),
        (
            "[limits]\nidle_timeout = 0",
            r#"the unit is missing); write a duration from "1ms" to "1d", such as "500ms", "30s", "15m" or "2h""#,
        ),
        ("[limits]\nmin_rate = \"many\"", r#"write a rate up to "#),
    ] {
        let problem = problem(lines);
        assert!(problem.contains(message), "{problem}");
    }
}

#[test]
fn a_list_where_one_text_stands_is_reported_without_brackets() {
    assert_eq!(
        problem("[auth]\nmode = [\"token\"]"),
        r#"proxy.toml:5:8: auth.mode: found a list; write "token", without brackets"#
    );
    assert!(problem("[auth]\nmode = [\"a\"]").ends_with(r#"found a list; write "basic", "token" or "off""#));
}

#[test]
fn text_without_quotes_is_reported_whatever_it_is() {
    for value in
        ["INFO", "info", "nothing", "True", "yes", "Off", "/var/log", "0.0.0.0:443", "30s", "tomorrow"]
    {
        let problem = problem(&format!("[log]\nlevel = {value}"));
        let wanted = "not valid TOML: a value is missing, or text is not in quotes";
        assert!(problem.contains(wanted), "{value}: {problem}");
    }
}

#[test]
fn unknown_names_get_advice() {
    for (lines, message) in [
        ("listen = []", r#"4:1: unknown key "listen" in [tls]; it belongs to [server]"#),
        ("[sever]\nlisten = []", "4:2: unknown section [sever]; did you mean [server]?"),
        ("[server.limits]", r#"4:9: unknown key "limits" in [server]; [limits] is a separate section"#),
        ("[log]\nüber = 1", "5:1: "),
    ] {
        let problems = problems(&format!("{PAIR}{lines}\n"));
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:?}");
    }
    let outside = problems(&format!("listen = []\ncolour = 1\n{PAIR}"));
    assert_eq!(
        outside[0],
        r#"proxy.toml:1:1: unknown key "listen" outside of any section; it belongs to [server]"#
    );
    assert!(outside[1].contains("the sections are [server], "), "{outside:?}");
    assert!(
        problems("server = 1\n").iter().any(|problem| problem.contains("write [server] on a line by itself"))
    );
}

#[test]
fn one_address_cannot_be_for_tls_and_for_plain_http() {
    for plain in ["0.0.0.0:443", "127.0.0.1:443", "[::]:443"] {
        let problem = problem(&format!("[server]\nplain = [\"{plain}\"]"));
        let message = "is taken by 0.0.0.0:443 in server.listen; write another port, usually 80";
        assert_eq!(problem, format!("proxy.toml:5:10: server.plain: {plain} {message}"));
    }
    let problem = problem("[server]\nlisten = [\"0.0.0.0:443\", \"127.0.0.1:443\"]");
    let message = "server.listen: 127.0.0.1:443 and 0.0.0.0:443 overlap; keep one of them";
    assert_eq!(problem, format!("proxy.toml:5:26: {message}"));
    for sound in ["\"[::]:443\", \"0.0.0.0:443\"", "\"127.0.0.1:443\", \"127.0.0.2:443\", \"[::1]:443\""] {
        let plain = "plain = [\"0.0.0.0:80\"]";
        assert!(parse(&format!("{PAIR}[server]\nlisten = [{sound}]\n{plain}")).is_ok(), "{sound}");
    }
    let any = "[server]\nlisten = [\"127.0.0.1:0\"]\nplain = [\"127.0.0.1:0\"]";
    assert!(parse(&format!("{PAIR}{any}")).is_ok());
}

#[test]
fn to_trust_every_client_as_a_proxy_is_probably_a_mistake() {
    let told = |network: &str| {
        let config = parse(&format!("{PAIR}[server]\ntrusted_proxies = [\"{network}\"]")).unwrap();
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let message = "is every client, so each one can claim any address and evade the limits; write the networks of \
                   the load balancers";
    for network in ["0.0.0.0/0", "::/0"] {
        let expected = format!("proxy.toml:5:20: server.trusted_proxies: {network} {message}");
        assert_eq!(told(network), [expected]);
    }
    assert_eq!(told("10.0.0.0/8"), [""; 0]);
}

#[test]
fn values_of_the_wrong_type_or_out_of_range() {
    for (lines, message) in [
        ("min_version = 1.2", r#"4:15: tls.min_version: found the number 1.2; write "1.2" or "1.3""#),
        ("alpn = [\"h3\"]", r#"4:9: tls.alpn: found "h3"; write "h2" or "http/1.1""#),
        ("alpn = []", "4:8: tls.alpn: found an empty list; write "),
        ("alpn = [\"h2\", \"h2\"]", "4:15: tls.alpn: this is already in the list; remove it"),
        (
            "[server]\nlisten = \"0.0.0.0:443\"",
            r#"5:10: server.listen: found "0.0.0.0:443"; write a list: ["0.0.0.0:443"]"#,
        ),
        ("[server]\nlisten = []", "5:10: server.listen: found an empty list; write an IP address"),
        ("[server]\nlisten = [443]", "5:11: server.listen: found the number 443; write"),
        (
            "[server]\nthreads = -1",
            "5:11: server.threads: found the number -1; write a whole number from 0 to",
        ),
        ("[server]\nthreads = \"2\"", r#"5:11: server.threads: found "2"; write a whole number"#),
        ("[server]\nnames = [\"a:443\"]", r#"5:10: server.names: found "a:443" (a name has no port); write"#),
        ("[limits]\nidle_timeout = \"0s\"", r#"5:16: limits.idle_timeout: found "0s" (it is out of range)"#),
        (
            "[limits]\nmin_rate = \"500\"",
            r#"5:12: limits.min_rate: found "500" (it does not end in /s); write "500B/s", or another rate up to "#,
        ),
        (
            "[limits]\nheader_bytes = \"1KiB\"",
            r#"5:16: limits.header_bytes: found "1KiB" (it is out of range)"#,
        ),
        (
            "[limits]\nheader_bytes = \"32K\"",
            r#"5:16: limits.header_bytes: found "32K" (the unit "K" is not one of B, "#,
        ),
        (
            "[upstream]\nservers = [\"r:5000\"]",
            r#"5:12: upstream.servers: found "r:5000" (http:// or https:// is"#,
        ),
        ("[upstream]\nservers = []", "5:11: upstream.servers: found an empty list; write a server"),
        ("[auth]\nlegacy_hashes = \"no\"", r#"5:17: auth.legacy_hashes: found "no"; write true or false"#),
        ("[auth]\nrealm = 'a\"b'", r#"5:9: auth.realm: found "a"b"; write printable ASCII"#),
        (
            "[auth]\nhtpasswd = \"\"",
            r#"5:12: auth.htpasswd: found "", and there is no other source of users; write"#,
        ),
        (
            "[auth.throttle]\nfailures = 1001",
            "5:12: auth.throttle.failures: found the number 1001; write a whole number from 0 to 1000",
        ),
        (
            "[auth.throttle]\ndelay = \"0s\"",
            r#"5:9: auth.throttle.delay: found "0s" (it is out of range); write a duration from "1s" to "1d""#,
        ),
        ("[auth]\nthrottle = 3", "5:12: auth.throttle: found the number 3; write [auth.throttle] on a line"),
        (
            "[policy]\nread_only = \"yes\"",
            r#"5:13: policy.read_only: found "yes"; write true or false, without quotes"#,
        ),
        (
            "[policy]\nimmutable_tags = [\"**\"]",
            r#"5:19: policy.immutable_tags: found "**" (there is no colon before the tags); write a pattern of"#,
        ),
        (
            "[policy]\nimmutable_referrers = \"yes\"",
            r#"5:23: policy.immutable_referrers: found "yes"; write true or false"#,
        ),
        (
            "[policy]\nimmutable_tags = [\"${user}/*:v*\"]",
            r#"5:19: policy.immutable_tags: found "${user}/*:v*" (this applies to all users, so ${user} cannot"#,
        ),
        (
            "[policy]\nimmutable_tags = [\"a:\"]",
            r#"5:19: policy.immutable_tags: found "a:" (the pattern of the tag is empty); write"#,
        ),
        ("[policy]\ncatalog = \"on\"", r#"5:11: policy.catalog: found "on"; write "filtered" or "off""#),
        (
            "[user_agents]\nstatus = 200",
            "5:10: user_agents.status: found the number 200; write a whole number",
        ),
        (
            "[user_agents]\ndeny = ['(']",
            r#"5:9: user_agents.deny: found "(" (unclosed group); write a regular"#,
        ),
        (
            "[log]\nlevel = \"inof\"",
            r#"5:9: log.level: found "inof" ("inof" is not a level; did you mean "info"?)"#,
        ),
        ("[log]\nlevel = \"a=loud\"", r#"5:9: log.level: found "a=loud" ("#),
        ("[log]\nlevel = \"\"", r#"5:9: log.level: found ""#),
        (
            "[log]\naccess = \"stderr\"",
            r#"5:10: log.access: found "stderr" (the program's own log goes there)"#,
        ),
    ] {
        let problem = problem(lines);
        assert!(problem.starts_with(&format!("proxy.toml:{message}")), "{problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}

#[test]
fn the_expression_of_the_recipe_is_explained() {
    let problem = problem(
        r"[user_agents]
deny = ['^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$']",
    );
    assert!(problem.contains("look-around"), "{problem}");
    assert!(problem.contains("put the exceptions into user_agents.allow"), "{problem}");
}

#[test]
fn certificates_are_a_pair_or_a_list() {
    let missing = problems("\n[tls]\n");
    assert!(
        missing[0].starts_with("proxy.toml:2:1: tls.certificate and tls.key are missing; write "),
        "{missing:?}"
    );
    assert!(problems("")[0].starts_with("proxy.toml:1:1: tls.certificate and tls.key are missing"));
    assert!(
        problems("[tls]\nkey = 'k'\n")[0].starts_with("proxy.toml:2:7: tls.certificate is missing; write ")
    );

    let list = "certificates = [{ certificate = 'a', key = 'b' }]";
    assert!(
        problem(list)
            .starts_with("proxy.toml:4:16: tls.certificates is set beside tls.certificate and tls.key")
    );
    assert_eq!(
        problems("[tls]\ncertificates = [{ certificate = 'a', kye = 'b' }, 3]\n"),
        [
            r#"proxy.toml:2:33: tls.certificates.key is missing; write key = "certs/domain.key""#,
            r#"proxy.toml:2:38: unknown key "kye" in [tls.certificates]; did you mean "key"?"#,
            r#"proxy.toml:2:51: tls.certificates: found an entry that is not a table; write a list such as [{ certificate = "a.crt", key = "a.key" }]"#,
        ]
    );
}

/// The problems of a file whose only section is `[acme]`, with `names` on its second line.
fn acme(lines: &str) -> Vec<String> {
    problems(&format!("[acme]\nnames = [\"a.example\"]\n{lines}\n"))
}

#[test]
fn acme_stands_instead_of_a_certificate() {
    let message = "acme.names asks for one; keep one of them";
    let terms = "[acme]\nnames = ['a.example']\naccept_terms = true\n";
    for (pair, places) in [
        (PAIR, vec!["5:15: tls.certificate ", "6:7: tls.key "]),
        ("[tls]\ncertificates = [{ certificate = 'a', key = 'b' }]\n", vec!["5:16: tls.certificates "]),
    ] {
        let problems = problems(&format!("{terms}{pair}"));
        assert_eq!(problems.len(), places.len(), "{problems:?}");
        for (problem, place) in problems.iter().zip(places) {
            assert!(problem.starts_with(&format!("proxy.toml:{place}")), "{problem}");
            assert!(problem.ends_with(message), "{problem}");
        }
    }
    let neither = &problems("[server]\n")[0];
    for way in ["tls.certificate and tls.key", "tidegate cert server", "tls.certificates", "[acme]"] {
        assert!(neither.contains(way), "{neither}");
    }
}

#[test]
fn what_acme_needs_is_asked_for() {
    assert_eq!(
        acme(""),
        [
            "proxy.toml:1:1: acme.accept_terms is not true; read the terms of service of the directory and write \
          accept_terms = true if you agree to them"
        ]
    );
    let http = acme("accept_terms = true\nchallenge = 'http-01'");
    assert_eq!(http.len(), 1, "{http:?}");
    assert!(http[0].starts_with("proxy.toml:4:13: acme.challenge is \"http-01\""), "{http:?}");
    assert!(http[0].contains("plain = [\"0.0.0.0:80\"] in [server]"), "{http:?}");
    for (lines, message) in [
        ("challenge = 'dns-01'", r#"3:13: acme.challenge: found "dns-01"; write "tls-alpn-01" or "http-01""#),
        (
            "directory = 'http://ca/dir'",
            r#"3:13: acme.directory: found "http://ca/dir" (it does not begin with https://)"#,
        ),
        (
            "contact = ['ops@example.com']",
            r#"3:12: acme.contact: found "ops@example.com" (mailto: is missing"#,
        ),
        ("state = ''", r#"3:9: acme.state: found "" (it is empty)"#),
        ("profile = 'short lived'", r#"3:11: acme.profile: found "short lived" (it has a space)"#),
        (
            "eab_kid = 'kid-1'",
            "3:11: acme.eab_key is missing, the file with the HMAC key of acme.eab_kid; write both",
        ),
        (
            "eab_key = 'hmac'",
            "3:11: acme.eab_kid is missing, the key ID of the HMAC key in acme.eab_key; write both",
        ),
        ("accept_terms = 'yes'", r#"3:16: acme.accept_terms: found "yes"; write true or false"#),
    ] {
        let problems = acme(&format!("{lines}\n"));
        assert!(
            problems.iter().any(|problem| problem.starts_with(&format!("proxy.toml:{message}"))),
            "{problems:?}"
        );
    }
    for (name, complaint) in
        [("*.a.example", "a wildcard needs the challenge dns-01"), ("a.example:443", "a name has no port")]
    {
        let problems = problems(&format!("[acme]\nnames = [{name:?}]\naccept_terms = true\n"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with(&format!("proxy.toml:2:10: acme.names: found {name:?} ({complaint}")),
            "{problems:?}"
        );
    }
}

#[test]
fn what_is_not_an_origin_is_explained() {
    for (origin, complaint) in [
        ("ui.example.com", "http:// or https:// is missing before the host"),
        ("ftp://ui.example.com", "the scheme is not http or https"),
        ("https://ui.example.com/", "an origin has no path, not even a slash at its end"),
        ("https://*.example.com", "wildcards are not supported; list the origins"),
        ("null", "\"null\" stands for every local file and every sandboxed page"),
    ] {
        let expected = format!(
            "proxy.toml:5:12: cors.origins: found {origin:?} ({complaint}); write the origin of a page, such as \
             \"https://ui.example.com\", or \"*\""
        );
        assert_eq!(problem(&format!("[cors]\norigins = [{origin:?}]")), expected);
    }
    let twice = problem("[cors]\norigins = [\"https://a.test\", \"HTTPS://A.test:443\"]");
    assert!(twice.contains("cors.origins: this is already in the list"), "{twice}");
}

#[test]
fn passwords_in_urls_are_not_repeated() {
    let problem = problem("[upstream]\nservers = [\"http://bob:hunter2@registry\"]");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[test]
fn proxy_headers_need_somebody_who_may_send_them() {
    let message = "proxy.toml:5:18: server.proxy_protocol: with true, only connections of server.trusted_proxies are \
                   accepted, and there are none; write the addresses of the load balancers there, such as trusted_proxies = \
                   [\"10.0.0.5\"]";
    assert_eq!(problem("[server]\nproxy_protocol = true"), message);
    assert_eq!(problem("[server]\nproxy_protocol = true\ntrusted_proxies = []"), message);
    assert!(problem("[server]\nproxy_protocol = 'v2'").contains("write true or false, without quotes"));
    let read = |lines: &str| parse(&format!("{PAIR}[server]\n{lines}\n")).unwrap().server.proxy_protocol;
    assert!(read("proxy_protocol = true\ntrusted_proxies = ['10.0.0.5']"));
    assert!(!read("proxy_protocol = false") && !read("trusted_proxies = ['10.0.0.5']"));
}

#[test]
fn a_number_with_a_control_character_in_it_cannot_act_on_the_terminal() {
    for number in ["65_536\u{1}", "1.5\u{1b}"] {
        let problems = problems(&format!("{PAIR}[limits]\nheader_bytes = {number}\n")).concat();
        assert!(!problems.is_empty() && !problems.contains(char::is_control), "{problems:?}");
    }
}
