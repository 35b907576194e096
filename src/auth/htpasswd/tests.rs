use super::*;
use proptest::prelude::*;

const HASH: &str = "$2y$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe";
const COST_5: &str = "$2y$05$eSnS/JfB7keQPlBP4s7u6OU6cNjELq6ZKIvCC0.V2JejJ1uQt6IG6";

fn bad(text: &str) -> Vec<(usize, String)> {
    Htpasswd::parse(text.as_bytes(), true)
        .unwrap_err()
        .into_iter()
        .map(|bad| (bad.line, bad.message))
        .collect()
}

#[test]
fn reads_comments_blank_lines_crlf_and_trailing_fields() {
    let text =
        format!("# users\r\n\r\n  \nbob:{HASH}\r\nalice:{COST_5}:Alice Liddell\n  # more\n carol:{HASH} ");
    let users = Htpasswd::parse(text.as_bytes(), false).unwrap();
    let names: Vec<_> = users.users().into_iter().map(|(user, _)| user.to_string()).collect();
    assert_eq!(names, ["bob", "alice", "carol"]);
    assert_eq!(users.users().len(), 3);
    assert_eq!(users.highest_cost(), 5);
    assert!(users.get(b"alice").unwrap().1.matches(b"hunter2"));
    assert!(users.get(b"dave").is_none());
}

#[test]
fn a_user_is_bytes() {
    let text = [b"j\xf6rg:", HASH.as_bytes()].concat();
    assert!(Htpasswd::parse(&text, false).unwrap().get(b"j\xf6rg").is_some());
}

#[test]
fn an_empty_file_has_no_users_and_the_usual_cost() {
    let users = Htpasswd::parse(b"", false).unwrap();
    assert!(users.users().is_empty());
    assert_eq!(users.highest_cost(), 10);
    let weak = Htpasswd::parse(b"a:{SHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0=", true).unwrap();
    assert_eq!(weak.highest_cost(), 10);
}

#[test]
fn names_every_bad_line() {
    let found = bad(&format!(
        "a:{HASH}\nno colon\n:{HASH}\nb\x07c:{HASH}\na:{HASH}\np:secret\nq:$2y$15${}\n\u{feff}r:{HASH}\n",
        &HASH[7..]
    ));
    let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
    assert!(found[1].1.contains("empty"), "{}", found[1].1);
    assert!(found[2].1.contains("control"), "{}", found[2].1);
    assert_eq!(found[3].1, "user \"a\" stands here and on line 1; keep one");
    assert!(found[4].1.contains("plain text") && !found[4].1.contains("secret"), "{}", found[4].1);
    assert!(found[5].1.contains("bcrypt cost 15"), "{}", found[5].1);
    assert!(found[6].1.contains("byte order mark"), "{}", found[6].1);
}

#[test]
fn a_user_that_stands_twice_is_refused_even_with_a_bad_hash() {
    assert_eq!(bad(&format!("a:{HASH}\na:oops"))[0].1, "user \"a\" stands here and on line 1; keep one");
}

#[test]
fn names_that_cannot_stand_in_a_line_are_refused() {
    let cases: [(&[u8], BadUser); 6] = [
        (b"", BadName::Empty.into()),
        (b"a:b", BadName::Colon.into()),
        (b"a ", BadName::Space.into()),
        (&[b'x'; 256], BadName::Long.into()),
        (b"#a", BadUser::Comment),
        (b"\xef\xbb\xbfa", BadUser::ByteOrderMark),
    ];
    for (name, expected) in cases {
        assert_eq!(user(name), Err(expected));
    }
    for name in [&b"alice"[..], b"a b", b"a@b.example", b"j\xf6rg", &[b'x'; 255]] {
        assert_eq!(user(name).unwrap().as_bytes(), name);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(text: Vec<u8>) {
        if let Err(bad) = Htpasswd::parse(&text, true) {
            prop_assert!(!bad.is_empty());
        }
    }

    #[test]
    fn every_user_of_a_good_file_is_found(names in prop::collection::hash_set("[a-z0-9._@ä-]{1,20}", 0..20)) {
        let text: String = names.iter().map(|name| format!("{name}:{HASH}\n")).collect();
        let users = Htpasswd::parse(text.as_bytes(), false).unwrap();
        prop_assert_eq!(users.users().len(), names.len());
        for name in &names {
            prop_assert!(users.get(name.as_bytes()).is_some());
        }
    }
}
