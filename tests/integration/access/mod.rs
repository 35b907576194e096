//! Access rules in front of a real registry, with passwords.

mod check;
mod mounts;
mod requests;
mod rights;

use std::fs;

use crate::harness::http1::{Client, Response};
use crate::harness::image::{noise, sha256, write_image};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{self, Run};
use crate::harness::{PASSWORD, basic};

const RULES: &str = r#"
[groups]
developers = ["alice", "carol"]

[[access]]
users = ["anonymous"]
repositories = ["public/**"]
actions = ["pull"]

[[access]]
users = ["@developers"]
repositories = ["team/**"]
actions = ["pull", "push"]

[[access]]
users = ["robot"]
repositories = ["team/**"]
actions = ["push"]

[[access]]
users = ["root"]
repositories = ["**"]
actions = ["*"]
"#;

/// A registry, and a tidegate with [`RULES`] in front. All users have the same password.
struct Setup {
    registry: Registry,
    tidegate: Tidegate,
}

impl Setup {
    fn start() -> Setup {
        let registry = Registry::start();
        let settings = Settings::for_upstream(&registry.url()).tables(RULES);
        settings.write_users(&["alice", "bob", "carol", "robot", "root"].map(|user| (user, PASSWORD)));
        let tidegate = Tidegate::start(settings);
        let trust = tidegate.settings.path().join("trust");
        fs::create_dir(&trust).unwrap();
        fs::write(trust.join("ca.crt"), tidegate.settings.authority.pem()).unwrap();
        Setup { registry, tidegate }
    }

    /// Sends a request as `user`; anonymously if the name is empty.
    fn ask(&self, user: &str, line: &str, fields: &[&str]) -> Response {
        let proof = format!("Authorization: {}", basic(user, PASSWORD));
        let proof = (!user.is_empty()).then_some(&*proof);
        Client::connect(&self.tidegate)
            .exchange(line, &proof.into_iter().chain(fields.iter().copied()).collect::<Vec<_>>())
    }

    fn status(&self, user: &str, line: &str) -> u16 {
        self.ask(user, line, &["Content-Length: 0"][..usize::from(!line.starts_with("GET"))]).status
    }

    fn skopeo(&self, user: &str, command: &str) -> Run {
        let folder = self.tidegate.settings.path().display();
        let proof = match user {
            "" => "--no-creds".to_owned(),
            user => format!("--creds {user}:{PASSWORD}"),
        };
        let to_registry = match command.split_once(' ').unwrap() {
            ("push", name) => {
                let proof = proof.replace("--", "--dest-");
                format!(
                    "copy {proof} --dest-cert-dir {folder}/trust oci:{folder}/image:one docker://{}/{name}",
                    self.tidegate.host()
                )
            }
            (command, name) => {
                format!(
                    "{command} {proof} --cert-dir {folder}/trust docker://{}/{name}",
                    self.tidegate.host()
                )
            }
        };
        let words = format!("--insecure-policy {to_registry}");
        tools::run("skopeo", &words.split(' ').collect::<Vec<_>>())
    }

    /// Stores a blob as `user`, who has the right to push. Returns its digest.
    fn push_blob(&self, user: &str, repository: &str) -> String {
        let bytes = noise(1000);
        let start = self.ask(user, &format!("POST /v2/{repository}/blobs/uploads/"), &["Content-Length: 0"]);
        assert_eq!(start.status, 202, "{}", start.text());
        let digest = format!("sha256:{}", sha256(&bytes));
        assert_eq!(self.finish(user, &start, &bytes, &digest), 201);
        digest
    }

    /// Completes the upload that `start` began, with a single chunk.
    fn finish(&self, user: &str, start: &Response, bytes: &[u8], digest: &str) -> u16 {
        let line = format!("PUT {}&digest={digest}", path(start));
        let mut client = Client::connect(&self.tidegate);
        let proof = format!("Authorization: {}", basic(user, PASSWORD));
        let length = format!("Content-Length: {}", bytes.len());
        client.send([crate::harness::http1::head(&line, &[&proof, &length]).as_bytes(), bytes].concat());
        client.response(false).unwrap().status
    }
}

/// The path and query of the Location.
fn path(response: &Response) -> String {
    let location = response.all("Location")[0];
    location[location.find("/v2/").unwrap()..].to_owned()
}

/// An image in the folder of the settings, pushed by a user with the right to push.
fn with_images(repositories: &[&str]) -> Setup {
    let setup = Setup::start();
    write_image(&setup.tidegate.settings.path().join("image"), "one");
    for repository in repositories {
        let run = setup.skopeo("root", &format!("push {repository}:one"));
        assert!(run.success, "{}", run.stderr);
    }
    setup
}
