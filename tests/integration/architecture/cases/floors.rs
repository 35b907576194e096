use super::super::floors::{floors, pointing_down, undeclared};
use super::super::library::Library;
use super::sources;

const ROOT: &str = "//! crate::server\npub mod config;\n// 2\npub(crate) mod gate;\nmod server;\n\
                    #[doc(hidden)]\npub mod bench { pub use crate::{config::Config, gate, server::accept}; }\n";

fn pointing_down_in(file: &str, text: &str) -> Vec<String> {
    let files = [
        ("lib.rs", ROOT),
        ("config.rs", "pub struct Config;"),
        ("gate/mod.rs", "mod one;\nmod visit;\n#[cfg(test)]\nmod tests;\npub use visit::Visit;"),
        ("gate/visit.rs", "pub struct Visit;"),
        ("server.rs", "pub fn accept() {}"),
        (file, text),
    ];
    let sources = sources(&files);
    pointing_down(&floors(&sources), &Library::read(&sources))
}

#[test]
fn an_import_that_points_down_is_found_in_each_spelling() {
    assert_eq!(floors(&sources(&[("lib.rs", ROOT)])), ["config", "gate", "server", "bench"]);
    for text in [
        "use crate::server::accept;",
        "use crate::server;",
        "use crate::server as s;",
        "use crate::server::*;",
        "use crate::{config::{Config}, server::{accept}};",
        "use super::super::server::accept;",
        "pub use super::super::server::accept;",
        "use super::super::{config, server::accept};",
        "fn f() { crate::server::accept() }",
        "fn f() { super::super::server::accept() }",
        "fn f() { use crate::{server::accept}; }",
        "fn f() { assert!(crate::server::accept()) }",
        "pub(in crate::server) fn f() {}",
        "mod inner { use super::super::super::server::accept; }",
        "#[cfg(test)] mod tests { use crate::server::accept; }",
    ] {
        let found = pointing_down_in("gate/one.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("src/gate/one.rs:1: "), "{text}: {found:?}");
        assert!(found[0].ends_with("server, which stands below gate in src/lib.rs"), "{text}: {found:?}");
    }
    let lines =
        pointing_down_in("gate/one.rs", "\nuse crate::{\n    config::Config,\n    server::accept,\n};\n");
    assert_eq!(
        lines,
        ["src/gate/one.rs:4: crate::server::accept needs server, which stands below gate in src/lib.rs"]
    );
    assert_eq!(pointing_down_in("gate/tests.rs", "use crate::server::accept;").len(), 1);
    assert_eq!(pointing_down_in("config.rs", "use crate::gate::Visit;").len(), 1);
    assert_eq!(pointing_down_in("server.rs", "use crate::bench;").len(), 1);
}

#[test]
fn an_import_that_points_up_passes() {
    for text in [
        "use crate::config::Config;",
        "use super::super::config::Config;",
        "use crate::gate::{Visit, visit};",
        "use super::Visit;",
        "/// Like [`crate::server::accept`].\nfn f() {}",
        "// crate::server::accept()",
        "const A: &str = \"crate::server::accept\";",
        "use server::accept;",
    ] {
        assert_eq!(pointing_down_in("gate/one.rs", text), [""; 0], "{text}");
    }
    assert_eq!(pointing_down_in("server.rs", "use crate::{config, gate::Visit};"), [""; 0]);
    assert_eq!(pointing_down_in("main.rs", "use tidegate::server;"), [""; 0]);
}

#[test]
fn a_file_that_no_module_declares_is_found() {
    let stray =
        sources(&[("lib.rs", "mod gate;"), ("gate.rs", "mod one;"), ("gate/two.rs", ""), ("main.rs", "")]);
    assert_eq!(undeclared(&stray, &Library::read(&stray)), ["src/gate/two.rs is declared by no module"]);
}
