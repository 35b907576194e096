//! The registry's notifications name the user of each request.

use std::fs;

use serde_json::Value;

use crate::harness::image::write_image;
use crate::harness::recorder::{Recorder, State};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;
use crate::harness::{PASSWORD, USER};

const RULES: &str = r#"
[[access]]
users = ["anonymous"]
repositories = ["**"]
actions = ["pull"]

[[access]]
users = ["*"]
repositories = ["**"]
actions = ["*"]
"#;

#[test]
fn the_registry_learns_the_user_and_not_the_password() {
    for mode in ["basic", "token"] {
        let listener = Recorder::start();
        let registry = Registry::start_with(&format!(
            "notifications:\n  endpoints:\n    - {{name: test, url: {:?}, timeout: 10s, threshold: 9, backoff: 1s}}\n",
            listener.url() + "/events"
        ));
        let settings = Settings::for_upstream(&registry.url());
        let tidegate = Tidegate::start(settings.set("auth.mode", &format!("{mode:?}")).tables(RULES));
        let folder = tidegate.settings.path();
        let trust = folder.join("trust");
        fs::create_dir(&trust).unwrap();
        fs::copy(folder.join("ca.crt"), trust.join("ca.crt")).unwrap();
        write_image(&folder.join("image"), "one");
        let text = |name: &str| folder.join(name).display().to_string();
        let there = format!("docker://{}/team/app:one", tidegate.host());
        let (image, back, trust) =
            (format!("oci:{}:one", text("image")), format!("dir:{}", text("back")), text("trust"));
        let (credentials, nobody) = (format!("{USER}:{PASSWORD}"), text("nobody.json"));
        fs::write(&nobody, "{}").unwrap();
        let skopeo = |more: &[&str]| succeed("skopeo", &[&["--insecure-policy", "copy"], more].concat());
        skopeo(&["--dest-creds", &credentials, "--dest-cert-dir", &trust, &image, &there]);
        skopeo(&["--authfile", &nobody, "--src-cert-dir", &trust, &there, &back]);

        for (action, actor) in [("push", Some(USER)), ("pull", None)] {
            let of_manifest = |event: &Value| {
                event["action"] == action
                    && event["target"]["mediaType"].as_str().is_some_and(|kind| kind.contains("manifest"))
            };
            let seen = listener.wait_for(action, |seen| {
                seen.state == State::Complete && events(&seen.body).iter().any(of_manifest)
            });
            let seen = events(&seen.body);
            let event = seen.iter().find(|event| of_manifest(event)).unwrap();
            assert_eq!(event["actor"]["name"].as_str(), actor, "{mode}: {event}");
            assert!(!event.to_string().contains(PASSWORD), "{event}");
        }
    }
}

fn events(body: &[u8]) -> Vec<Value> {
    let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
    envelope["events"].as_array().cloned().unwrap_or_default()
}
