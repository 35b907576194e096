use super::super::source::Source;
use super::super::text::{long_comments, long_file, matches_on_bools};

#[test]
fn long_files_and_long_comments_are_found() {
    let long = |text: String| long_file(&Source::new("src/a.rs", &text));
    assert_eq!(long("\n".repeat(500)), None);
    assert_eq!(long("\n".repeat(501)), Some("src/a.rs has 501 lines, more than 500".to_owned()));

    let comments = |text: &str| long_comments(&Source::new("tests/a.rs", text));
    for marker in ["//", "///", "    //"] {
        let fits = format!("\n{marker}{}\nfn f() {{}}", "ü".repeat(100 - marker.len()));
        assert_eq!(comments(&fits), [""; 0]);
        let long = fits.replacen('ü', "üü", 1);
        assert_eq!(comments(&long), ["tests/a.rs:2: the comment has 101 columns, more than 100"]);
        assert_eq!(comments(&format!("const A: &str = \"{long}\";")), [""; 0]);
        assert_eq!(comments(&format!("const A: &str = r#\"{long}\"#;\n{long}")).len(), 1);
    }
    assert_eq!(comments(&format!("fn f() {{\n    f(\"// {}\");\n}}", "a".repeat(100))), [""; 0]);
}

#[test]
fn a_match_on_a_bool_is_found() {
    let found = |text: &str| matches_on_bools(&Source::new("src/a.rs", &format!("fn f() {{\n{text}\n}}")));
    for text in [
        "match a { true => 1, false => 2 }",
        "match a.b() { false if c => 1, _ => 2 }",
        "Some(match\na { true\n=> 1, _ => 2 })",
        "if a { match b { _ => match c { true => 1, false => 2 } } }",
    ] {
        assert_eq!(found(text), ["src/a.rs:2: write this match on a bool as an if"], "{text}");
    }
    for text in [
        "match (a, b) { (true, false) => 1, _ => 2 }",
        "match a { Some(true) => 1, _ => 2 }",
        "if a { 1 } else { 2 }",
        "f(\"match a { true => 1 }\")",
        "// match a { true => 1, false => 2 }",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}
