use tokio::time::Instant;

use super::*;
use crate::pki::fixtures::{Folder, set_mode};

fn settings(folder: &Folder, url: &str) -> config::Shared {
    let password = folder.write("password", "open sesame\n");
    set_mode(&password, 0o600);
    let text = format!(
        "[tls]\ncertificate = 'c'\nkey = 'k'\n[shared]\nurl = '{url}'\npassword_file = '{}'\n",
        password.display()
    );
    config::Config::parse("proxy.toml".as_ref(), &text, &[]).unwrap().shared
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    let folder = Folder::new();
    let engine = Engine::new(&settings(&folder, "redis://localhost")).unwrap().unwrap();
    assert_eq!(engine.key(&["tag", "team/app", "v1"]), "tidegate:tag:team/app:v1");
    assert_ne!(engine.key(&["a:b", "c"]), engine.key(&["a", "b:c"]));
    assert_ne!(engine.key(&["a%3Ab"]), engine.key(&["a:b"]));
    assert_eq!(engine.key(&["a b\nü"]), "tidegate:a%20b%0A%C3%BC");
}

#[test]
fn without_a_url_there_is_no_engine() {
    let folder = Folder::new();
    assert!(Engine::new(&settings(&folder, "")).unwrap().is_none());
}

#[test]
fn files_that_cannot_be_used_are_reported_together() {
    let folder = Folder::new();
    let settings = settings(&folder, "rediss://localhost");
    let bad = config::Shared {
        password_file: Some(folder.path("none")),
        secret_file: Some(folder.write("secret", "short")),
        ca: Some(folder.write("ca.crt", "no certificate")),
        ..settings
    };
    let Err(problems) = Engine::new(&bad) else { panic!("it has been read") };
    assert_eq!(problems.0.len(), 3, "{problems}");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_engine_that_was_never_there() {
    let folder = Folder::new();
    let engine = Engine::new(&settings(&folder, "redis://localhost")).unwrap().unwrap();
    let engine = engine.asking(Asked::TagLocks);
    let began = Instant::now();
    assert_eq!(engine.query::<()>(&redis::cmd("PING")).await, Err(Away));
    assert_eq!(engine.run::<()>(&Script::new("return 1"), &["a"], &["b"]).await, Err(Away));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(engine.failures()[Asked::TagLocks.index()], 2);
    assert!(!engine.standing().is_up);
}
