//! A registry that verifies tokens itself: distribution 2.8 with `auth: token`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;
use crate::harness::DEADLINE;
use crate::harness::image::{push_tiny, upload};
use crate::harness::registry::Registry;

/// tidegate, and a registry that trusts its key.
pub(super) struct Pair {
    pub(super) registry: Registry,
    pub(super) tidegate: Tidegate,
}

impl Pair {
    /// With a certificate, the registry finds the key by `x5c`; without one, by `kid`.
    pub(super) fn start(options: &[&str], certificate: bool) -> Pair {
        let bare = settings("http://127.0.0.1:1").set("upstream.authorization", r#""pass""#);
        for name in ["token.key", "token.crt"] {
            std::fs::remove_file(bare.path().join(name)).unwrap();
        }
        make_key(&bare, options);
        let bundle = bare.path().join("token.crt").display().to_string();
        let registry = Registry::start_with(&format!(
            "auth:\n  token:\n    realm: https://localhost/auth/token\n    service: {SERVICE}\n    issuer: tidegate\n    \
             rootcertbundle: {bundle}\n"
        ));
        let mut settings = bare.set("upstream.servers", &format!("[{:?}]", registry.url()));
        if certificate {
            settings = settings.set("token.certificate", r#""token.crt""#);
        }
        Pair { tidegate: Tidegate::start(settings), registry }
    }

    pub(super) fn all() -> impl Iterator<Item = Pair> {
        let kinds = [(&[][..], true), (&[][..], false), (&["--rsa"][..], true), (&["--rsa"][..], false)];
        kinds.into_iter().map(|(options, certificate)| Pair::start(options, certificate))
    }

    /// The status of a request with this token, sent directly to the registry.
    pub(super) fn ask_registry(&self, line: &str, token: &str) -> u16 {
        let address = self.registry.url().replace("http://", "");
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = http1::head(line, &[&bearer(token), "Connection: close", "Content-Length: 0"]);
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(super) fn ask_tidegate(&self, line: &str, token: &str) -> u16 {
        Client::connect(&self.tidegate).exchange(line, &[&bearer(token), "Content-Length: 0"]).status
    }
}

#[test]
fn tidegate_and_the_registry_accept_tokens_of_either_kind_of_key() {
    for pair in Pair::all() {
        let mut client = Client::connect(&pair.tidegate);
        let token = obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]);
        push_tiny(&mut client, &bearer(&token), "team/app", "one");
        for line in ["GET /v2/", "GET /v2/team/app/tags/list"] {
            assert_eq!(
                (pair.ask_registry(line, &token), pair.ask_tidegate(line, &token)),
                (200, 200),
                "{line}"
            );
        }
        let begin = "POST /v2/team/app/blobs/uploads/";
        assert_eq!((pair.ask_registry(begin, &token), pair.ask_tidegate(begin, &token)), (202, 202));

        let pull = obtain(&mut client, Some(ALICE), &["repository:team/app:pull"]);
        assert_eq!((pair.ask_registry(begin, &pull), pair.ask_tidegate(begin, &pull)), (401, 401));
        let other = obtain(&mut client, Some(ALICE), &["repository:public/app:pull"]);
        let line = "GET /v2/team/app/tags/list";
        assert_eq!((pair.ask_registry(line, &other), pair.ask_tidegate(line, &other)), (401, 401));
        let delete = obtain(&mut client, Some(ROOT), &["repository:team/app:*", "registry:catalog:*"]);
        assert_eq!(pair.ask_registry("GET /v2/_catalog", &delete), 200);
        assert_eq!(
            pair.ask_tidegate("DELETE /v2/team/app/manifests/latest", &delete),
            400,
            "a tag: 2.8 deletes digests"
        );
    }
}

#[test]
fn requests_with_a_password_reach_the_registry_with_a_token() {
    let pair = Pair::start(&[], true);
    let mut client = Client::connect(&pair.tidegate);
    let (alice, root) = (authorization(ALICE), authorization(ROOT));
    let digest = push_tiny(&mut client, &alice, "team/app", "one");
    upload(&mut client, &alice, "public/base", b"a layer");
    for line in ["GET /v2/", "GET /v2/team/app/tags/list", "GET /v2/_catalog"] {
        assert_eq!(client.exchange(line, &[&alice]).status, 200, "{line}");
    }
    let layer = crate::harness::image::sha256(b"a layer");
    let mount = format!("POST /v2/team/app/blobs/uploads/?mount=sha256:{layer}&from=public/base");
    let mounted = client.exchange(&mount, &[&alice, "Content-Length: 0"]);
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    let deleted = client.exchange(&format!("DELETE /v2/team/app/manifests/{digest}"), &[&root]);
    assert_eq!(deleted.status, 202, "{}", deleted.text());
}

#[test]
fn scopes_that_clients_do_not_request_are_added() {
    let pair = Pair::start(&[], true);
    let mut client = Client::connect(&pair.tidegate);
    let token = bearer(&obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]));
    push_tiny(&mut client, &token, "team/app", "one");
    let catalog = client.exchange("GET /v2/_catalog", &[&token]);
    assert_eq!(json(&catalog), serde_json::json!({"repositories": ["team/app"]}));

    let begun = client.exchange("POST /v2/team/app/blobs/uploads/", &[&token, "Content-Length: 0"]);
    let location = begun.all("location")[0].strip_prefix("https://localhost").unwrap().to_owned();
    let cancelled = client.exchange(&format!("DELETE {location}"), &[&token]);
    assert_eq!(cancelled.status, 204, "{}", cancelled.text());
}

#[test]
fn immutable_tags_are_looked_up_with_tidegates_own_token() {
    let pair = Pair::start(&[], true);
    let tidegate = &pair.tidegate;
    let toml = format!("{}\n[policy]\nimmutable_tags = [\"team/**:v*\"]\n", tidegate.settings.toml());
    std::fs::write(tidegate.settings.file(), toml).unwrap();
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    let mut client = Client::connect(tidegate);
    let token = bearer(&obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]));
    push_tiny(&mut client, &token, "team/app", "v1");
    let root = bearer(&obtain(&mut client, Some(ROOT), &["repository:team/app:delete"]));
    let refused = client.exchange("DELETE /v2/team/app/manifests/v1", &[&root]);
    assert_eq!((refused.status, refused.error_code().as_str()), (409, "DENIED"), "{}", refused.text());
}
