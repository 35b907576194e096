//! Who sees what, and what nobody can do.

use std::net::TcpStream;

use crate::harness::admin::{self, ask, ask_socket, exchange};
use crate::harness::fake;
use crate::harness::namespaces::Namespaces;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{BASIC, basic};

const PRIVATE: [&str; 3] = ["/", "/metrics", "/api/status"];
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

fn start(settings: Settings) -> Tidegate {
    Tidegate::start(settings)
}

#[test]
fn clients_of_this_machine_see_everything() {
    let tidegate = start(admin::settings(&fake::refusing()));
    for path in PRIVATE {
        assert_eq!(ask(&tidegate, &format!("GET {path}"), &[]).status, 200, "{path}");
        let head = ask(&tidegate, &format!("HEAD {path}"), &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
    for path in ["/nothing", "/healthz/", "/metrics2", "//", "/api", "/v2/", "/%68ealthz"] {
        assert_eq!(ask(&tidegate, &format!("GET {path}"), &[]).status, 404, "{path}");
    }
}

/// A page that says so is on loopback for a proxy, and for everybody whom the proxy serves.
#[test]
fn what_a_local_proxy_passes_on_is_not_local() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let admin = format!(r#"["127.0.0.1:0", "unix:{}"]"#, socket.display());
    let tidegate = start(Settings::for_upstream(&fake::refusing()).set("server.admin", &admin));
    for field in [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "Via: 1.1 proxy",
        "X_Forwarded_For: 127.0.0.1",
    ] {
        for path in PRIVATE {
            let line = format!("GET {path}");
            let (there, nothing) =
                (ask(&tidegate, &line, &[field]), ask(&tidegate, "GET /nothing", &[field]));
            assert_eq!((there.status, &there.body), (404, &nothing.body), "{path} {field}");
            assert_eq!(ask_socket(&socket, &line, &[field]).status, 404, "{path} {field}");
            assert_eq!(ask_socket(&socket, &line, &["Host: anything.test"]).status, 200);
        }
        for path in OPEN {
            assert_ne!(ask(&tidegate, &format!("GET {path}"), &[field]).status, 404, "{path} {field}");
        }
    }
}

#[test]
fn a_password_is_asked_of_others_where_there_is_a_file_of_users() {
    let settings = admin::settings(&fake::refusing()).set("admin.htpasswd", r#""watchers""#);
    let users = crate::harness::tidegate::htpasswd(&[("watcher", "seen")], 4);
    std::fs::write(settings.path().join("watchers"), users).unwrap();
    let tidegate = start(settings.set("auth.throttle", "{ failures = 3 }"));
    let by_proxy = "X-Forwarded-For: 192.0.2.1";
    for path in PRIVATE {
        let line = format!("GET {path}");
        let answer = ask(&tidegate, &line, &[by_proxy]);
        assert_eq!(answer.status, 401);
        assert!(
            answer.all("www-authenticate")[0].starts_with("Basic realm=\"tidegate admin\""),
            "{answer:?}"
        );
        let right = format!("Authorization: {}", basic("watcher", "seen"));
        assert_eq!(ask(&tidegate, &line, &[by_proxy, &right]).status, 200);
        assert_eq!(ask(&tidegate, &line, &[by_proxy, &right, &right]).status, 400);
        // The users of the registry are others.
        assert_eq!(ask(&tidegate, &line, &[by_proxy, &format!("Authorization: {BASIC}")]).status, 401);
        // Who needs no password is not asked whether a wrong one is right.
        let wrong = format!("Authorization: {}", basic("watcher", "wrong"));
        assert_eq!(ask(&tidegate, &line, &[&wrong]).status, 200);
    }
    assert_eq!(ask(&tidegate, "GET /nothing", &[by_proxy]).status, 404);
    let guess = |number: usize| {
        let guess = format!("Authorization: {}", basic("watcher", &format!("guess {number}")));
        ask(&tidegate, "GET /", &[by_proxy, &guess])
    };
    let statuses: Vec<u16> = (0..4).map(|number| guess(number).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429]);
    assert_eq!(guess(5).all("retry-after").len(), 1);
    let metrics = ask(&tidegate, "GET /metrics", &[]).body;
    for (result, count) in [("ok", 3), ("wrong", 6), ("throttled", 2)] {
        let series = format!(
            "tidegate_logins_total{{method=\"password\",source=\"htpasswd\",result=\"{result}\"}} {count}\n"
        );
        assert!(metrics.contains(&series), "no {series} in {metrics}");
    }
}

#[test]
fn other_machines_see_health_and_allowed_networks_see_everything() {
    let own = "192.0.2.1";
    let script = format!("ip address add {own}/32 dev lo");
    let Some(namespaces) = Namespaces::start("an admin listener for other machines", &script) else { return };
    namespaces.enter_network();
    let run = |allow: &str| {
        let settings = Settings::for_upstream(&fake::refusing())
            .set("server.admin", &format!(r#"["{own}:0"]"#))
            .set("admin.allow", allow)
            .run_by(namespaces.runner());
        start(settings)
    };
    for (allow, private) in [("[]".to_owned(), 404), (format!(r#"["{own}"]"#), 200)] {
        let tidegate = run(&allow);
        let address = admin::address(&tidegate);
        let ask = |line: &str, fields: &[&str]| {
            exchange(TcpStream::connect(address).unwrap(), line, fields).unwrap().status
        };
        assert_eq!(ask("GET /", &[]), private, "{allow}");
        // The operator has named the address of the proxy itself.
        assert_eq!(ask("GET /", &["X-Forwarded-For: 192.0.2.1"]), private, "{allow}");
        // What it claims is not believed.
        assert_eq!(ask("GET /", &["X-Forwarded-For: 127.0.0.1"]), private, "{allow}");
        assert_eq!(ask("GET /healthz", &[]), 200);
        // As a kubelet dials it.
        assert_eq!(ask("GET /healthz", &[&format!("Host: {address}")]), 200);
    }
}

/// A listener for both families sees IPv4 clients at IPv6 addresses.
#[test]
fn a_loopback_client_is_local_in_both_families() {
    let settings = Settings::for_upstream(&fake::refusing()).set("server.admin", r#"["[::]:0"]"#);
    let tidegate = start(settings);
    let port = admin::address(&tidegate).port();
    for address in ["127.0.0.1", "127.0.0.5", "::1"] {
        let address: std::net::IpAddr = address.parse().unwrap();
        let answer = exchange(TcpStream::connect((address, port)).unwrap(), "GET /", &[]).unwrap();
        assert_eq!(answer.status, 200, "{address}");
    }
    let warned = tidegate.log.so_far().join("\n");
    assert!(warned.contains("shows other machines only /healthz and /readyz"), "{warned}");
}

#[test]
fn nothing_can_be_changed() {
    let tidegate = start(admin::settings(&fake::refusing()));
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/healthz", "/nothing"] {
            let answer = ask(&tidegate, &format!("{method} {path}"), &["Content-Length: 0"]);
            assert_eq!((answer.status, answer.all("allow")), (405, vec!["GET, HEAD"]), "{method} {path}");
        }
    }
    // The answer arrives although the body was not read.
    let large = ask(&tidegate, "POST /", &["Content-Length: 1000000", "Expect: 100-continue"]);
    assert_eq!(large.status, 405);
}

#[test]
fn a_strangers_name_that_leads_here_gets_nothing() {
    let settings = admin::settings(&fake::refusing()).set("server.names", r#"["registry.test"]"#);
    let tidegate = start(settings);
    for path in ["/", "/healthz", "/readyz", "/nothing"] {
        let line = format!("GET {path}");
        assert_eq!(ask(&tidegate, &line, &["Host: evil.test:9443"]).status, 421, "{path}");
        assert_eq!(ask(&tidegate, &line, &["Host: localhost", "Host: localhost"]).status, 400);
    }
    for host in ["registry.test", "localhost:1", "[::1]:1", "10.1.2.3:9443", "127.9.9.9"] {
        assert_eq!(ask(&tidegate, "GET /", &[&format!("Host: {host}")]).status, 200, "{host}");
    }
    assert_eq!(ask(&tidegate, "GET http://localhost/", &[]).status, 400);
}

#[test]
fn every_answer_forbids_what_a_browser_would_do_with_it() {
    let tidegate = start(admin::settings(&fake::refusing()));
    for line in ["GET /", "GET /healthz", "GET /nothing", "POST /", "HEAD /readyz"] {
        let answer = ask(&tidegate, line, &[]);
        assert_eq!(answer.all("x-content-type-options"), ["nosniff"], "{line}");
        assert_eq!(answer.all("cache-control"), ["no-store"]);
        assert_eq!(answer.all("referrer-policy"), ["no-referrer"]);
        let policy = answer.all("content-security-policy").concat();
        for part in
            ["default-src 'none';", "connect-src 'self';", "base-uri 'none';", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.all("server"), [""; 0]);
        assert_eq!(answer.all("access-control-allow-origin"), [""; 0]);
    }
}
