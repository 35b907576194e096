use super::super::circles::circles;
use super::super::library::Library;
use super::{Files, sources};

/// The shortest way around each circle.
fn circles_in(files: Files<'_>) -> Vec<String> {
    let circles = circles(&Library::read(&sources(files)));
    circles.iter().map(|circle| circle.shortest.join(" -> ")).collect()
}

/// The circles in a folder `gate` of two files, one of which needs the other.
fn circles_of(door: &str, one: &str, other: &str) -> Vec<String> {
    circles_in(&[
        ("lib.rs", "pub mod disk;\npub mod gate;"),
        ("disk.rs", "pub fn write() {}"),
        ("gate/mod.rs", &format!("mod one;\nmod other;\n{door}")),
        ("gate/one.rs", one),
        ("gate/other.rs", other),
    ])
}

const CIRCLE: &str = "src/gate/one.rs:1 -> src/gate/other.rs:1 -> src/gate/one.rs";
const DOOR: &str = "pub use one::One; pub(crate) use other::{Other as Renamed, f};";
const ONE: &str = "use super::other::Other; pub struct One;";

fn other(text: &str) -> String {
    format!("{text} pub struct Other; pub fn f() {{}}")
}

#[track_caller]
fn assert_circle(door: &str, one: &str, text: &str) {
    assert_eq!(circles_of(door, one, &other(text)), [CIRCLE], "{text}");
}

#[track_caller]
fn assert_no_circle(door: &str, one: &str, text: &str) {
    assert_eq!(circles_of(door, one, &other(text)), [""; 0], "{text}");
}

#[test]
fn files_that_need_each_other_are_found_in_each_spelling() {
    for text in [
        "use super::one::One;",
        "use super::one::One as Renamed;",
        "use super::one::*; fn g(_: One) {}",
        "use super::{one::{self}};",
        "use super::one;",
        "use super::super::gate::one::One;",
        "use self::super::one::One;",
        "use crate::gate::one::One;",
        "use crate::{disk::write, gate::{one::{One}, other}};",
        "fn g() { super::one::One; }",
        "fn g(_: crate::gate::one::One) {}",
        "fn g() -> Vec<super::one::One> { Vec::<super::one::One>::new() }",
        "fn g() { let _ = |_| super::one::One { }; }",
        "fn g() { use super::one::One; }",
        "fn g() { println!(\"{}\", super::one::One::new()); }",
        "fn g() { select! { _ = x.await => { use super::{one::One}; } } }",
        "impl From<super::one::One> for Other {}",
        "#[derive(Debug)] #[arg(value_parser = super::one::One::parse)] struct A;",
        "fn g() { use super::one; one::f() }",
        "fn g() { match 1 { super::one::ONE => {} _ => {} } }",
        "thread_local! { static A: super::one::One = const { 1 }; }",
        "pub struct A<T = super::one::One>(T) where T: Into<u8>;",
        "mod inner { use super::super::one::One; }",
        "mod inner { use crate::gate::one::One; pub fn h() {} }",
    ] {
        assert_circle("", ONE, text);
    }
}

#[test]
fn files_that_only_seem_to_need_each_other_pass() {
    for text in [
        "",
        "// use super::one::One;",
        "/// As [`super::one::One`] has it.\npub struct A;",
        "//! [super::one::One]\n",
        "const A: &str = \"super::one::One\"; const B: &str = r#\"use super::one::One;\"#;",
        "use super::other::Other as Another;",
        "use std::one::One;",
        "use ::one::One;",
        "fn g(one: u8) -> u8 { one.one + Some(one).one() }",
        "fn g() { assert!(x.one::<u8>(one)); }",
        "pub(in crate::gate) fn g() {}",
        "pub(super) fn g() {}",
        "use crate::disk::write;",
        "#[cfg(test)] use super::one::One;",
        "#[cfg(all(test, unix))] fn g(_: super::one::One) {}",
        "#[cfg(test)] mod tests { use super::super::one::One; fn g() { super::super::one::f() } }",
        "#[cfg(test)] impl Other { fn g() { super::one::f() } }",
        "impl Other { #[cfg(test)] fn g() { super::one::f() } }",
        "struct A { #[cfg(test)] one: super::one::One }",
        "fn g() { #[cfg(test)] let a = super::one::One; }",
    ] {
        assert_no_circle("", ONE, text);
    }
    // These are compiled outside of tests too.
    assert_circle("", ONE, "#[cfg(not(test))] use super::one::One;");
    assert_circle("", ONE, "#[cfg(any(test, unix))] use super::one::One;");
}

#[test]
fn a_reexport_leads_to_the_file_that_defines() {
    for text in [
        "use super::One;",
        "use crate::gate::One;",
        "use crate::gate; fn g(_: gate::One) {}",
        "use super::*; fn g(_: One) {}",
        "fn g(_: super::One) {}",
        "use crate::gate::{One as Two};",
    ] {
        assert_circle(DOOR, ONE, text);
        assert_circle("pub use one::*;", ONE, text);
        assert_circle("pub use self::one::{One};", ONE, text);
        assert_circle("use one::One;", ONE, text);
        assert_circle("pub(crate) mod names { pub use super::one::One; } pub use names::One;", ONE, text);
    }
    let through_door = "use super::{Renamed, f}; pub struct One;";
    assert_circle(DOOR, through_door, "use super::One;");
    assert_no_circle(DOOR, through_door, "use crate::disk::write;");
    assert_no_circle(DOOR, ONE, "use super::f as g;");
    assert_no_circle("use std::fs; pub use std::io as One;", ONE, "use super::{fs, One};");
}

#[test]
fn a_parent_and_a_child_that_need_each_other_form_a_circle() {
    let library = |parent: &str, child: &str| {
        let child = format!("{child} pub struct One; pub fn f() {{}}");
        circles_in(&[("lib.rs", "mod gate;"), ("gate.rs", parent), ("gate/one.rs", &child)])
    };
    let circle = ["src/gate.rs:2 -> src/gate/one.rs:1 -> src/gate.rs"];
    let needs_child = [
        "mod one;\nuse one::f;\npub struct Gate;",
        "mod one;\nuse self::one::f;\npub struct Gate;",
        "mod one;\npub fn g() { one::f() }\npub struct Gate;",
        "mod one;\nstruct A(crate::gate::one::One);\npub struct Gate;",
        "mod one;\nmod inner { use super::one::f; }\npub struct Gate;",
        "mod one;\nfn g() -> f {}\npub use one::f;\npub struct Gate;",
    ];
    for parent in needs_child {
        assert_eq!(library(parent, "use super::Gate;"), circle, "{parent}");
        assert_eq!(library(parent, "fn g(_: &crate::gate::Gate) {}"), circle, "{parent}");
        assert_eq!(library(parent, "use super::*; struct A(Gate);"), circle, "{parent}");
        assert_eq!(library(parent, "use crate::gate; struct A(gate::Gate);"), circle, "{parent}");
        assert_eq!(library(parent, ""), [""; 0], "{parent}");
        assert_eq!(library(parent, "use super::one::One;"), [""; 0], "{parent}");
    }
    for parent in [
        "mod one;\npub struct Gate;",
        "pub mod one;\npub use one::f;\npub struct Gate;",
        "mod one;\npub(crate) use self::one::{f, One};\npub struct Gate;",
        "mod one;\npub use one::*;\npub struct Gate;",
        "mod one;\npub use one::f;\npub fn g(f: u8) -> u8 { f }\npub struct Gate;",
        "#[cfg(test)] mod one;\nuse one::f;\npub struct Gate;",
    ] {
        assert_eq!(library(parent, "use super::Gate;"), [""; 0], "{parent}");
    }
}

#[test]
fn a_circle_is_shown_with_its_shortest_way_and_all_its_needs() {
    let files: Files<'_> = &[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;"),
        ("a.rs", "use crate::b::B;\n\npub struct A(B);"),
        ("b.rs", "use crate::{\n    c::C,\n    d,\n};\npub struct B;"),
        ("c.rs", "use crate::a::A;\npub struct C;"),
        ("d.rs", "use crate::b::B;\nuse crate::e;"),
        ("e.rs", "pub const E: u8 = 0;"),
    ];
    let shown: Vec<String> =
        circles(&Library::read(&sources(files))).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["circle: src/b.rs:3 -> src/d.rs:1 -> src/b.rs\n  \
          src/a.rs:1,3 needs src/b.rs for B\n  \
          src/b.rs:2 needs src/c.rs for C\n  \
          src/b.rs:3 needs src/d.rs for d\n  \
          src/c.rs:1 needs src/a.rs for A\n  \
          src/d.rs:1 needs src/b.rs for B\n"]
    );
    let apart = circles_in(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;"),
        ("a.rs", "use crate::b;"),
        ("b.rs", "use crate::a;"),
        ("c.rs", "use crate::{a, d};"),
        ("d.rs", "use crate::c;"),
    ]);
    assert_eq!(apart, ["src/a.rs:1 -> src/b.rs:1 -> src/a.rs", "src/c.rs:1 -> src/d.rs:1 -> src/c.rs"]);
}

#[test]
fn tests_may_stand_in_a_circle() {
    for (path, declaration) in [
        ("gate/tests.rs", "#[cfg(test)] mod tests;"),
        ("gate/fixture.rs", "#[cfg(test)] pub(crate) mod fixture;"),
        ("gate/tests/far.rs", "#[cfg(test)] mod tests;"),
    ] {
        let gate = format!("{declaration} mod one; pub struct Gate; fn g() {{ one::f() }}");
        let files = [
            ("lib.rs", "mod gate;"),
            ("gate/mod.rs", gate.as_str()),
            ("gate/one.rs", "pub fn f() {} #[cfg(test)] use super::Gate;"),
            (path, "use super::Gate; use crate::gate::one::f;"),
        ];
        assert_eq!(circles_in(&files), [""; 0], "{path}");
    }
}
