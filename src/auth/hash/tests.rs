use super::*;
use proptest::prelude::*;

/// Made with Debian's `htpasswd -nb -B/-m/-s/-2/-5`, `openssl passwd`, perl's `crypt` and, for
/// `{SSHA}`, by hand.
const VECTORS: [(&str, &str); 18] = [
    ("hunter2", "$2y$05$eSnS/JfB7keQPlBP4s7u6OU6cNjELq6ZKIvCC0.V2JejJ1uQt6IG6"),
    ("hunter2", "$2y$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe"),
    ("hunter2", "$2a$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe"),
    ("hunter2", "$2b$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe"),
    ("", "$2y$05$thDL6JeORmiPxc3YlHYfe.vS0RQm1xOAF/OQEy8bpNzkxO7DxXx7."),
    ("päss:wörd", "$2y$04$Ezn5mrjooubpA/0dsKi5GOCvpxjX7VWW.6O8CbQGukdh/TgZALv1u"),
    ("hunter2", "$apr1$.8Hbj/rW$eDgXb.6OTejh9IcK.bYsS."),
    ("", "$apr1$x$tMwYqBfQwi3FYAr0aJc8M/"),
    ("hunter2", "{SHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0="),
    ("hunter2", "{SSHA}EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA=="),
    ("hunter2", "$5$XuwIgXHLTXwXvirR$jP8TW6GQAUBqapTm7QyiXGW5XG/FGfh/bapSzm9Edg3"),
    ("hunter2", "$5$rounds=1000$pYSl3.A1bvpbwiGh$3lqp2MXS9X/lbmPgDDJ7XnHChQ9yE2TwaWzCZu.UNoD"),
    (
        "hunter2",
        "$6$BOvy2XBFwnpYJeI3$KDGO9Ae5Qwvk5FXtwHrtc7V5ojIuiGD40.OnpStLNkE6XBAZY1G8NSlUjjgQanFipf5VlGPJCByvoumJN4dr6.",
    ),
    (
        "secret",
        "$6$rounds=1234$sixteen.chars.xx$CFVMgfAARgun23pYjdL.IY.GqiXpzNtvIDXQVGQSUMbS654prVRmOPgNeasNMS1i8AWWWaYTgvEtt5tWhRo1o0",
    ),
    (
        "",
        "$6$saltsalt$qkTgsCrWMTAS9gBGcf9W60sFfH.hU0oTCAOJjhbz5tSp/sU3/xXZK4OFwCtq8lIIdpJ6CatVdOTSHKp97TPkt/",
    ),
    ("", "$5$saltsalt$09agN5RZ2meWdEdnEusqsq5G7RwwghB8jCKoWWADxW/"),
    (
        "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
        "$5$$1jcmGwzQqAhJJFLV2CKYkLgEjmlJ06n4PsvKekYC4j7",
    ),
    (
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        "$5$0123456789abcdef$vkV1q1zpQQOOgXIdl9MXyJIW4sJU7sA2c.St3OR1hQA",
    ),
];

#[test]
fn checks_what_htpasswd_openssl_and_crypt_have_made() {
    for (password, text) in VECTORS {
        let stored = StoredHash::parse(text.as_bytes(), true).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(stored.matches(password.as_bytes()), "{text}");
        assert!(!stored.matches(b"something else"), "{text}");
        assert!(!stored.matches(&[password.as_bytes(), b" "].concat()), "{text}");
    }
}

#[test]
fn weak_kinds_have_to_be_allowed() {
    for (_, text) in VECTORS {
        let refused = StoredHash::parse(text.as_bytes(), false);
        assert_eq!(refused.is_ok(), text.starts_with("$2"), "{text}");
        if let Err(error) = refused {
            assert!(error.to_string().contains("legacy_hashes = true"), "{error}");
        }
    }
}

#[test]
fn bcrypt_looks_at_72_bytes_as_htpasswd_does() {
    // From `htpasswd -nbB -C 4 user xxx…`, with eighty of them.
    let stored =
        StoredHash::parse(b"$2y$04$t0kQJGaepgElZxqy96aDTuIKIagsPyvpaRxJ5.6iE7BSUTyGWiE9u", false).unwrap();
    assert!(stored.matches(&[b'x'; 80]));
    assert!(stored.matches(&[b'x'; 72]));
    assert!(!stored.matches(&[b'x'; 71]));
}

#[test]
fn a_nul_is_never_taken_for_the_end_of_a_password() {
    let stored = StoredHash::parse(StoredHash::make(b"abc", 4).unwrap().as_bytes(), false).unwrap();
    assert!(stored.matches(b"abc"));
    assert!(!stored.matches(b"abc\0abc"));
    assert!(!stored.matches(b"abc\0"));
}

#[test]
fn what_it_makes_is_read_back_and_salted() {
    let made = StoredHash::make("pässword".as_bytes(), 4).unwrap();
    assert!(made.starts_with("$2y$04$"), "{made}");
    assert_ne!(made, StoredHash::make("pässword".as_bytes(), 4).unwrap());
    assert!(StoredHash::parse(made.as_bytes(), false).unwrap().matches("pässword".as_bytes()));
    assert!(StoredHash::make(b"x", 3).is_err());
}

#[test]
fn refuses_with_a_reason_and_never_repeats_what_it_found() {
    use HashError::{Cost, Damaged, Des, Empty, Rounds, TwoX, Unknown};
    let bcrypt = "Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe";
    let cases = [
        (String::new(), Empty),
        (format!("$2y$15${bcrypt}"), Cost(15)),
        (format!("$2y$31${bcrypt}"), Cost(31)),
        (format!("$2y$03${bcrypt}"), Cost(3)),
        (format!("$2x$10${bcrypt}"), TwoX),
        (format!("$2y$+9${bcrypt}"), Damaged("bcrypt")),
        (format!("$2y$10${bcrypt}."), Damaged("bcrypt")),
        (format!("$2y$10${}", &bcrypt[1..]), Damaged("bcrypt")),
        ("$2y$".into(), Damaged("bcrypt")),
        ("$2y$10".into(), Damaged("bcrypt")),
        ("$apr1$toolongsalt$sIQmFnT1CuEXAsyjuXjUX/".into(), Damaged("$apr1$")),
        ("$apr1$abcdefgh$short".into(), Damaged("$apr1$")),
        ("{SHA}short".into(), Damaged("{SHA}")),
        ("{SHA}EwvBq0sMQSLLD3eOSZNmhQqOOkRzYWx0c2FsdA==".into(), Damaged("{SHA}")),
        ("{SSHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0=".into(), Damaged("{SSHA}")),
        ("$5$salt".into(), Damaged("$5$")),
        ("$5$rounds=999$salt$x".into(), Rounds(999)),
        ("$6$rounds=1000001$salt$x".into(), Rounds(1_000_001)),
        ("$6$rounds=999999999999$salt$x".into(), Rounds(999_999_999_999)),
        ("$6$rounds=+1000$salt$x".into(), Damaged("$6$")),
        ("U/scI4CcUVWek".into(), Des),
        ("hunter2".into(), Unknown),
        ("$argon2id$v=19$m=65536".into(), Unknown),
    ];
    for (text, expected) in cases {
        let error = StoredHash::parse(text.as_bytes(), true).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(text.len() < 5 || !error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn many_rounds_count_as_the_cost_that_takes_as_long() {
    let cost = |rounds: u32| {
        let text = format!("$5$rounds={rounds}$pYSl3.A1bvpbwiGh$3lqp2MXS9X/lbmPgDDJ7XnHChQ9yE2TwaWzCZu.UNoD");
        StoredHash::parse(text.as_bytes(), true).unwrap().cost()
    };
    assert_eq!([cost(1000), cost(5000), cost(656_000), cost(1_000_000)], [0, 4, 12, 12]);
}

#[test]
fn a_very_long_password_is_not_hashed_by_the_legacy_kinds() {
    let stored = StoredHash::parse(VECTORS[10].1.as_bytes(), true).unwrap();
    assert!(!stored.matches(&vec![b'x'; 1 << 24]));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(text: Vec<u8>, prefix in prop::sample::select(vec!["", "$2y$", "$2b$10$", "$apr1$", "{SHA}", "{SSHA}", "$5$", "$6$rounds=", "$6$"])) {
        let _ = StoredHash::parse(&[prefix.as_bytes(), &text].concat(), true);
    }
}
