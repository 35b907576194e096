//! Tokens for clients with a certificate.

use super::*;
use crate::harness::client_ca::ClientCa;
use crate::harness::tools::run;

struct Setup {
    client_ca: ClientCa,
    tidegate: Tidegate,
    _recorder: Recorder,
}

impl Setup {
    fn start(change: impl FnOnce(Settings) -> Settings) -> Setup {
        let recorder = Recorder::start();
        let settings = settings(&recorder.url())
            .set("tls.client.verify", r#""optional""#)
            .set("tls.client.ca", r#""clients.crt""#);
        let client_ca = ClientCa::new(settings.path());
        client_ca.issue("alice", |_| ());
        Setup { client_ca, tidegate: Tidegate::start(change(settings)), _recorder: recorder }
    }

    /// The status and body of a request with curl.
    fn curl(&self, who: Option<&str>, path: &str, options: &[&str]) -> (u16, String) {
        let url = format!("https://{}{path}", self.tidegate.host());
        let ca = self.client_ca.file("ca.crt");
        let files = who.map(|who| ["crt", "key"].map(|end| self.client_ca.file(&format!("{who}.{end}"))));
        let mut all = vec!["--silent", "--max-time", "30", "--cacert", &ca, "--write-out", "\n%{http_code}"];
        if let Some([certificate, key]) = &files {
            all.extend(["--cert", certificate, "--key", key]);
        }
        all.extend(options);
        all.push(&url);
        let run = run("curl", &all);
        let (body, status) = run.stdout.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The subject of the token in the answer.
    fn subject(&self, who: Option<&str>, options: &[&str]) -> Result<String, u16> {
        match self.curl(who, "/auth/token?offline_token=true&scope=repository:team/app:pull,push", options) {
            (200, body) => {
                let given: Value = serde_json::from_str(&body).unwrap();
                let may_last = options.contains(&"--user");
                assert_eq!(
                    given.get("refresh_token").is_some(),
                    may_last,
                    "identity tokens are issued only for a password: {given}"
                );
                Ok(text(&signer::open(&text(&given["token"])).1["sub"]))
            }
            (status, _) => Err(status),
        }
    }
}

const ROOT_USER: [&str; 2] = ["--user", "root:hunter2"];

#[test]
fn a_certificate_is_enough_where_it_replaces_a_password() {
    let setup = Setup::start(|settings| settings);
    assert_eq!(setup.subject(Some("alice"), &[]), Ok("alice".to_owned()));
    assert_eq!(setup.subject(None, &[]), Ok(String::new()));
    assert_eq!(
        setup.subject(Some("alice"), &ROOT_USER),
        Ok("root".to_owned()),
        "a password takes precedence over the certificate"
    );
    assert_eq!(setup.subject(Some("alice"), &["--user", "root:wrong"]), Err(401));

    let (_, body) = setup.curl(None, "/auth/token?scope=repository:team/app:pull", &ROOT_USER);
    let token = text(&serde_json::from_str::<Value>(&body).unwrap()["token"]);
    let field = bearer(&token);
    setup.curl(Some("alice"), "/v2/team/app/tags/list", &["--header", &field]);
    let line = setup.tidegate.access.wait_for("its line", |line| line.contains("tags"));
    assert!(line.contains(r#""user":"root""#), "a token takes precedence over the certificate: {line}");
}

#[test]
fn certificate_and_password_are_needed_where_both_are_required() {
    let setup = Setup::start(|settings| settings.set("auth.client_certificate", r#""both""#));
    assert_eq!(setup.subject(Some("alice"), &[]), Err(401));
    assert_eq!(setup.subject(Some("alice"), &["--user", ":"]), Err(401));
    assert_eq!(setup.subject(None, &ROOT_USER), Err(403));
    assert_eq!(setup.subject(Some("alice"), &ROOT_USER), Ok("root".to_owned()));
}
