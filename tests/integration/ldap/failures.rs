//! A directory that cannot be asked.

use super::*;

#[test]
fn a_directory_that_is_gone_or_silent_lets_nobody_in_and_counts_nothing() {
    let mut slapd = Slapd::start();
    let change = |settings: Settings| {
        settings
            .set("auth.ldap.timeout", r#""1s""#)
            .set("auth.throttle.failures", "1")
            .set("auth.ldap.failures", "1")
    };
    let (_recorder, tidegate) = start(&slapd, change);
    assert_eq!(login(&tidegate, ALICE).status, 200);
    let is_away = || {
        assert_eq!(login(&tidegate, ALICE).status, 200, "who is remembered");
        for user in [BOB, ("bob", "wrong"), ("nobody", "x"), BOB] {
            let refused = login(&tidegate, user);
            assert_eq!((refused.status, refused.all("retry-after").len()), (503, 1), "{user:?}");
            assert!(refused.all("www-authenticate").is_empty());
        }
    };
    slapd.freeze();
    is_away();
    slapd.thaw();
    slapd.stop();
    is_away();
    slapd.restart();
    assert_eq!(login(&tidegate, BOB).status, 200, "nothing was counted");
    let lines = tidegate.log.so_far();
    let told = lines.iter().filter(|line| line.contains("the directory cannot be asked")).count();
    assert_eq!(told, 1, "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("password\"") || line.contains("bob-password")),
        "{lines:?}"
    );
}

#[test]
fn a_directory_without_tls_gets_no_password() {
    let slapd = Slapd::start_without_tls();
    for server in [slapd.ldap(), slapd.ldaps()] {
        let (_recorder, tidegate) = start_at(&slapd, &server, |settings| settings);
        assert_eq!(login(&tidegate, ALICE).status, 503, "{server}");
    }
    assert_eq!(slapd.binds(""), 0);
}

#[test]
fn a_reload_with_a_password_file_that_everybody_can_read_keeps_what_runs() {
    use std::os::unix::fs::PermissionsExt;
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    let file = slapd.folder.path().join("door-password");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate
        .log
        .wait_for("the mistake", |line| line.contains("is a password that every user of this machine"));
    assert_eq!(login(&tidegate, ALICE).status, 200);
}
