//! The files that the settings name.

use std::fs;

use super::*;

fn load(path: &Path) -> Result<Config, Problems> {
    Config::load_with(path, &[])
}

#[test]
fn an_absent_proxy_toml_is_missing_and_says_where_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.exit_code(), 66);
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].place, path.display().to_string());
    assert!(problems.0[0].message.contains("copy proxy.toml.example"), "{problems}");
}

#[test]
fn what_is_no_text_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let problems = load(directory.path()).unwrap_err();
    assert_eq!(problems.exit_code(), 78);
    assert!(problems.to_string().ends_with("cannot be read: it is a directory"), "{problems}");

    let path = directory.path().join("proxy.toml");
    fs::write(&path, b"[tls]\nk\xC3\xBC = \xFF").unwrap();
    let problems = load(&path).unwrap_err();
    assert!(problems.0[0].place.ends_with("proxy.toml:2:6"), "{problems}");

    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("larger than 1 MiB"));
}

#[test]
fn an_access_log_that_cannot_be_made_is_reported_before_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let base = format!("{}/", directory.path().display());
    let path = directory.path().join("proxy.toml");
    let told = |access: &str| {
        let mode = "[auth]\nmode = \"off\"";
        fs::write(&path, format!("{PAIR}{mode}\n[log]\naccess = \"{access}\"\n")).unwrap();
        let problems = load(&path).err().unwrap_or_default();
        (problems.exit_code(), problems.to_string().replace(&base, ""))
    };
    for file in ["c.crt", "c.key", "old.log"] {
        fs::write(directory.path().join(file), "").unwrap();
    }
    fs::create_dir(directory.path().join("folder")).unwrap();
    for sound in ["stdout", "off", "new.log", "old.log", "folder/new.log", "/dev/null"] {
        assert_eq!(told(sound).1, "", "{sound}");
    }
    let place = "proxy.toml:7:10: log.access names";
    let message = format!("{place} folder, which is a folder; write the path of a file");
    assert_eq!(told("folder"), (78, message));
    let message = format!(
        "{place} my logs/new.log, whose folder does not exist; make it with `mkdir -p 'my logs'`, writable for the \
         user that runs tidegate"
    );
    let (code, said) = told("my logs/new.log");
    assert_eq!((code, said.replace(&format!("'{base}my"), "'my")), (66, message));
}

#[test]
fn named_files_have_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    fs::write(&path, format!("{PAIR}[upstream]\nca = \"ca.pem\"\n[auth]\nrealm = \"r\"\n")).unwrap();
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.exit_code(), 66);
    let shown: Vec<String> = problems
        .0
        .iter()
        .map(|problem| problem.to_string().replace(&format!("{}/", directory.path().display()), ""))
        .collect();
    assert_eq!(
        shown,
        [
            "proxy.toml:2:15: tls.certificate names c.crt, which does not exist; make one with `tidegate cert server`, or name the one you have",
            "proxy.toml:3:7: tls.key names c.key, which does not exist; make one with `tidegate cert server`, or name the one you have",
            "proxy.toml:5:6: upstream.ca names ca.pem, which does not exist; name a PEM file with the root, or leave it empty for the roots of the system",
            "proxy.toml:6:1: auth.htpasswd names auth/htpasswd, which does not exist; make it with `tidegate htpasswd add auth/htpasswd USER`",
        ]
    );

    for file in ["c.crt", "c.key", "ca.pem", "auth/htpasswd"] {
        let file = directory.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    load(&path).unwrap();

    fs::remove_file(directory.path().join("c.key")).unwrap();
    fs::create_dir(directory.path().join("c.key")).unwrap();
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.exit_code(), 78);
    assert!(problems.to_string().ends_with("which cannot be read: it is a directory"), "{problems}");
}

#[test]
fn without_passwords_no_htpasswd_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    fs::write(&path, format!("{PAIR}[auth]\nmode = \"off\"\n")).unwrap();
    fs::write(directory.path().join("c.crt"), "").unwrap();
    fs::write(directory.path().join("c.key"), "").unwrap();
    load(&path).unwrap();
}

#[test]
fn tokens_are_given_for_passwords_and_their_key_has_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    fs::write(
        &path,
        format!("{PAIR}[auth]\nmode = \"token\"\n[token]\nkey = \"t.key\"\ncertificate = \"t.crt\"\n"),
    )
    .unwrap();
    fs::write(directory.path().join("c.crt"), "").unwrap();
    fs::write(directory.path().join("c.key"), "").unwrap();
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.exit_code(), 66);
    let shown: Vec<String> = problems.0.iter().map(|problem| problem.message.clone()).collect();
    assert!(shown[0].starts_with("auth.htpasswd names "), "{shown:?}");
    assert!(
        shown[1].contains("/t.key, which does not exist; make it with `tidegate token FILE`"),
        "{shown:?}"
    );
    assert!(shown[2].starts_with("token.certificate names "), "{shown:?}");
    assert_eq!(shown.len(), 3);
}

#[test]
fn missing_files_are_reported_together_with_other_problems() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    fs::write(&path, format!("[server]\nthreads = \"x\"\n{PAIR}")).unwrap();
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.exit_code(), 78);
    assert_eq!(
        problems.0.iter().map(|problem| problem.missing).collect::<Vec<_>>(),
        [true, false, true, true]
    );
}

#[test]
fn a_default_path_is_not_missed_behind_a_syntax_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    fs::write(&path, "[auth]\nhtpasswd = users\n").unwrap();
    let problems = load(&path).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.0[0].place.ends_with("proxy.toml:2:12"), "{problems}");
}
