//! Tokens for those who show a client certificate.

use super::*;
use crate::harness::holders::Holders;
use crate::harness::tools::run;

struct House {
    holders: Holders,
    tidegate: Tidegate,
    _recorder: Recorder,
}

impl House {
    fn start(change: impl FnOnce(Settings) -> Settings) -> House {
        let recorder = Recorder::start();
        let settings = settings(&recorder.url())
            .set("tls.client.verify", r#""optional""#)
            .set("tls.client.ca", r#""clients.crt""#);
        let holders = Holders::new(settings.path());
        holders.issue("alice", |_| ());
        House { holders, tidegate: Tidegate::start(change(settings)), _recorder: recorder }
    }

    /// What curl gets: the status, and the body.
    fn curl(&self, who: Option<&str>, path: &str, options: &[&str]) -> (u16, String) {
        let url = format!("https://{}{path}", self.tidegate.host());
        let ca = self.holders.file("ca.crt");
        let files = who.map(|who| ["crt", "key"].map(|end| self.holders.file(&format!("{who}.{end}"))));
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

    /// The subject of the token that is given.
    fn subject(&self, who: Option<&str>, options: &[&str]) -> Result<String, u16> {
        match self.curl(who, "/auth/token?offline_token=true&scope=repository:team/app:pull,push", options) {
            (200, body) => {
                let given: Value = serde_json::from_str(&body).unwrap();
                let may_last = options.contains(&"--user");
                assert_eq!(given.get("refresh_token").is_some(), may_last, "only for a password: {given}");
                Ok(text(&signer::open(&text(&given["token"])).1["sub"]))
            }
            (status, _) => Err(status),
        }
    }
}

const ROOT_USER: [&str; 2] = ["--user", "root:hunter2"];

#[test]
fn a_certificate_is_enough_where_either_is() {
    let house = House::start(|settings| settings);
    assert_eq!(house.subject(Some("alice"), &[]), Ok("alice".to_owned()));
    assert_eq!(house.subject(None, &[]), Ok(String::new()));
    assert_eq!(house.subject(Some("alice"), &ROOT_USER), Ok("root".to_owned()), "a password goes first");
    assert_eq!(house.subject(Some("alice"), &["--user", "root:wrong"]), Err(401));

    let (_, body) = house.curl(None, "/auth/token?scope=repository:team/app:pull", &ROOT_USER);
    let token = text(&serde_json::from_str::<Value>(&body).unwrap()["token"]);
    let field = bearer(&token);
    house.curl(Some("alice"), "/v2/team/app/tags/list", &["--header", &field]);
    let line = house.tidegate.access.wait_for("its line", |line| line.contains("tags"));
    assert!(line.contains(r#""user":"root""#), "a token goes before the certificate: {line}");
}

#[test]
fn both_are_needed_where_both_are() {
    let house = House::start(|settings| settings.set("auth.client_certificate", r#""both""#));
    assert_eq!(house.subject(Some("alice"), &[]), Err(401));
    assert_eq!(house.subject(Some("alice"), &["--user", ":"]), Err(401));
    assert_eq!(house.subject(None, &ROOT_USER), Err(403));
    assert_eq!(house.subject(Some("alice"), &ROOT_USER), Ok("root".to_owned()));
}
