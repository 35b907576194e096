//! What `tidegate generate` writes: man pages that say everything, and completions.

use std::path::Path;

use tempfile::TempDir;

use super::{read, reference};
use crate::harness::tools::succeed;

/// The folder with everything that the command writes.
fn generate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["generate", folder.path().to_str().unwrap()]);
    folder
}

/// A page as a terminal shows it, on long lines and without bold.
fn shown(page: &Path) -> String {
    let text = succeed("bash", &["-c", r#"MANWIDTH=10000 man -l "$0" | col -bx"#, page.to_str().unwrap()]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_key_is_in_the_man_page_with_its_default() {
    let folder = generate();
    let page = shown(&folder.path().join("man/tidegate.toml.5"));
    let page = page.replace(['\u{2010}', '\u{2212}'], "-");
    let keys = reference::example(&read("proxy.toml.example"));
    assert!(keys.len() > 60);
    for ((section, key), default) in &keys {
        let (_, from_here) = page
            .split_once(&format!(" [{section}] Variables: "))
            .or_else(|| page.split_once(&format!(" [[{section}]] One variable")))
            .unwrap_or_else(|| panic!("[{section}] is not in the page"));
        let (_, entry) = from_here.split_once(&format!(" {key} type: ")).unwrap_or_else(|| {
            panic!("{section}.{key} is not in the page");
        });
        if default != "required" {
            let first = entry.split_once("; applies: ").unwrap().0;
            assert!(first.ends_with(&format!("; default: {default}")), "{section}.{key}: {first}");
        }
    }
}

#[test]
fn the_formatter_has_no_complaint() {
    let folder = generate();
    for page in folder.path().join("man").read_dir().unwrap() {
        let page = page.unwrap().path();
        let script = r#"groff -man -ww -Tutf8 -z "$0" 2>&1"#;
        assert_eq!(succeed("bash", &["-c", script, page.to_str().unwrap()]), "", "{}", page.display());
    }
}

#[test]
fn bash_and_zsh_complete_commands() {
    let folder = generate();
    let at = |name: &str| folder.path().join("completions").join(name).display().to_string();
    let bash = r#"
        source "$0"
        complete -p tidegate >/dev/null
        COMP_WORDS=(tidegate htpasswd a) COMP_CWORD=2
        _tidegate tidegate a htpasswd
        echo "${COMPREPLY[*]}"
    "#;
    assert_eq!(succeed("bash", &["-euc", bash, &at("bash/tidegate")]), "add\n");
    // zsh finds the function by its file, as in its own folders.
    let zsh = "fpath=($1 $fpath); autoload -Uz compinit; compinit -D -u; print $_comps[tidegate]; autoload +X _tidegate";
    assert_eq!(succeed("zsh", &["-fec", zsh, "zsh", &at("zsh")]), "_tidegate\n");
}
