use clap::Command;

use super::roff::{inline, line};
use super::{settings_page, without_hidden, write};

fn program() -> Command {
    Command::new("tidegate")
        .version("1")
        .subcommand(Command::new("serve").about("Run the proxy"))
        .subcommand(Command::new("generate").hide(true))
}

#[test]
fn the_files_have_the_names_under_which_they_are_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), program()).unwrap();
    for name in [
        "man/tidegate.1",
        "man/tidegate-serve.1",
        "man/tidegate.toml.5",
        "completions/bash/tidegate",
        "completions/zsh/_tidegate",
        "completions/fish/tidegate.fish",
    ] {
        assert!(folder.path().join(name).metadata().unwrap().len() > 100, "{name}");
    }
    assert!(!folder.path().join("man/tidegate-generate.1").exists());
}

#[test]
fn a_hidden_command_is_left_out() {
    let names: Vec<_> =
        without_hidden(program()).get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(names, ["serve"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = write(file.path(), program()).unwrap_err();
    assert_eq!(error.exit_code(), 73);
    assert!(error.to_string().contains("/man: cannot be written: "), "{error}");
}

#[test]
fn markdown_becomes_the_language_of_man_pages() {
    for (markdown, page) in [
        ("plain", "plain"),
        ("a-b", r"a\-b"),
        ("`tls.key` and **more `x`**", r"\fBtls.key\fR and \fBmore x\fR"),
        ("see [Several servers](upstreams.md#a-b), too", "see Several servers, too"),
        (r"\[server\]", "[server]"),
        ("[server]", "[server]"),
        ("the *contents* of `a/*`", r"the \fIcontents\fR of \fBa/*\fR"),
        ("a * b and [x", "a * b and [x"),
        (r"`'^docker/1\.[345]'`", r"\fB\(aq\(hadocker/1\e.[345]\(aq\fR"),
        ("NAME…, `§`", r"NAME..., \fB\[u00A7]\fR"),
    ] {
        assert_eq!(inline(markdown), page);
    }
    assert_eq!(line(".TH"), "\\&.TH\n");
}

#[test]
fn a_key_has_its_type_default_and_meaning() {
    let page = settings_page::text();
    assert!(page.contains(
        ".SH \"[server]\"\n.PP\nVariables: \\fBTIDEGATE_SERVER_<KEY>\\fR.\n.TP\n\\fBlisten\\fR\n\
         type: list of IP address and port; default: \\fB[\"0.0.0.0:443\"]\\fR; applies: restart\n.br\nAddresses for TLS"
    ));
    assert!(!page.contains("#server"), "links are left out");
}
