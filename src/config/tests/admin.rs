//! `server.admin`, `[admin]` and `[metrics]`.

use super::*;

fn warnings(text: &str) -> Vec<String> {
    parse(&format!("{PAIR}{text}")).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn addresses_that_another_listener_has_are_reported() {
    for (lines, message) in [
        (
            "admin = ['0.0.0.0:443']",
            "5:10: server.admin: 0.0.0.0:443 is taken by 0.0.0.0:443 in server.listen; write another port, usually 9443",
        ),
        (
            "plain = ['[::]:80']\nadmin = ['127.0.0.1:80']",
            "6:10: server.admin: 127.0.0.1:80 is taken by [::]:80 in server.plain; write another port, usually 9443",
        ),
        (
            "admin = ['127.0.0.1:9443', '0.0.0.0:9443']",
            "5:28: server.admin: 0.0.0.0:9443 and 127.0.0.1:9443 overlap; keep one of them",
        ),
        ("admin = ['unix:/a', 'unix:///a']", "5:21: server.admin: this is already in the list; remove it"),
        (
            "admin = '127.0.0.1:9443'",
            "5:9: server.admin: found \"127.0.0.1:9443\"; write a list: [\"127.0.0.1:9443\"]",
        ),
        (
            "admin = ['unix:a']",
            "5:10: server.admin: found \"unix:a\" (the path of a socket must begin with / and name a file); write an IP",
        ),
        (
            "readiness = 'registry'",
            "5:13: server.readiness: found \"registry\"; write \"upstream\" or \"self\"",
        ),
    ] {
        let problems = problems(&format!("{PAIR}[server]\n{lines}\n"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:?}");
    }
    assert!(parse(&format!("{PAIR}[server]\nadmin = ['127.0.0.1:0', '127.0.0.1:0']\n")).is_ok());
}

#[test]
fn what_nobody_can_see_is_a_warning() {
    let remote = "shows other machines only /healthz and /readyz; write admin.allow or admin.htpasswd if they should see \
                  metrics and the page";
    assert_eq!(
        warnings("[server]\nadmin = ['127.0.0.1:1', '[::]:9443']\n"),
        [format!("proxy.toml:5:25: server.admin: [::]:9443 {remote}")]
    );
    assert_eq!(
        warnings("[admin]\nallow = ['10.0.0.0/8']\n"),
        [
            "proxy.toml:4:1: [admin] has no effect without a listener; write admin = [\"127.0.0.1:9443\"] in [server]"
        ]
    );
    assert!(
        warnings("[server]\nadmin = ['0.0.0.0:9443']\n[admin]\nallow = ['0::/0']\n")[0]
            .contains("is everybody")
    );
    for silent in [
        "[server]\nadmin = ['127.0.0.1:9443', '[::1]:9443', 'unix:/a']\n",
        "[server]\nadmin = ['0.0.0.0:9443']\n[admin]\nallow = ['10.0.0.0/8']\n",
        "[server]\nadmin = ['0.0.0.0:9443']\n[admin]\nhtpasswd = 'watchers'\n",
        "[admin]\nallow = []\n",
    ] {
        assert_eq!(warnings(silent), [""; 0], "{silent}");
    }
}

#[test]
fn only_patterns_of_the_settings_become_labels() {
    for (list, message) in [
        (
            "['${user}/**']",
            "6:17: metrics.repositories: found \"${user}/**\" (a label for each user would be",
        ),
        ("['other']", "6:17: metrics.repositories: found \"other\" (this is the label of the repositories"),
        ("['a/**', 'a/**']", "6:25: metrics.repositories: this is already in the list; remove it"),
        (
            "['A/**']",
            "6:17: metrics.repositories: found \"A/**\" (a repository name cannot contain 'A'); write names",
        ),
    ] {
        let problems = problems(&format!("{PAIR}\n[metrics]\nrepositories = {list}\n"));
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:?}");
    }
    assert_eq!(
        warnings("[metrics]\nrepositories = ['a/**', '**', 'b/**', 'c']\n"),
        [
            "proxy.toml:5:31: metrics.repositories: \"b/**\" has no effect, because \"**\" before it matches everything; \
             move it up"
        ]
    );
}

#[test]
fn a_missing_file_of_users_is_reported_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    std::fs::write(&file, "[admin]\nhtpasswd = 'watchers'\n").unwrap();
    let problems = Config::load_with(&file, &[]).unwrap_err().to_string();
    assert!(problems.contains("admin.htpasswd names "), "{problems}");
    assert!(problems.contains("tidegate htpasswd add FILE USER"), "{problems}");
}
