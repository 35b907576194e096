use super::*;
use crate::auth::htpasswd;
use proptest::prelude::*;

#[test]
fn other_lines_stay_byte_for_byte() {
    let text = b"# users\r\n\n bob:x \r\nalice:old:Alice\r\ncarol:y";
    let (new, replaced) = set_user(text, b"alice", "new");
    assert!(replaced);
    assert_eq!(new, b"# users\r\n\n bob:x \r\nalice:new\r\ncarol:y");
    let (new, replaced) = set_user(text, b"dave", "new");
    assert!(!replaced);
    assert_eq!(new, b"# users\r\n\n bob:x \r\nalice:old:Alice\r\ncarol:y\ndave:new\n");
    assert_eq!(remove_user(text, b"bob").unwrap(), b"# users\r\n\nalice:old:Alice\r\ncarol:y");
    assert_eq!(remove_user(text, b"carol").unwrap(), b"# users\r\n\n bob:x \r\nalice:old:Alice\r\n");
    assert_eq!(remove_user(text, b"car"), None);
    assert_eq!(remove_user(text, b"# users"), None);
    assert_eq!(set_user(b"", b"a", "h").0, b"a:h\n");
}

#[test]
fn a_user_who_stands_twice_stands_once_afterwards() {
    assert_eq!(set_user(b"a:1\nb:2\na:3\n", b"a", "new").0, b"a:new\nb:2\n");
    assert_eq!(remove_user(b"a:1\nb:2\na:3\n", b"a").unwrap(), b"b:2\n");
}

proptest! {
    #[test]
    fn setting_and_removing_leave_the_others(text in "([a-z]{1,3}:[a-z]{0,3}\r?\n|#[a-z]{0,3}\n|\n){0,8}", user in "[a-z]{1,3}") {
        prop_assert!(htpasswd::user(user.as_bytes()).is_ok());
        let others = |text: &[u8]| -> Vec<Vec<u8>> {
            text.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_of(line, user.as_bytes())).map(<[u8]>::to_vec).collect()
        };
        let (set, _) = set_user(text.as_bytes(), user.as_bytes(), "hash");
        prop_assert_eq!(others(&set), others(text.as_bytes()));
        prop_assert_eq!(set.split(|byte| *byte == b'\n').filter(|line| is_of(line, user.as_bytes())).count(), 1);
        let removed = remove_user(&set, user.as_bytes()).unwrap();
        prop_assert_eq!(removed, others(text.as_bytes()).concat());
    }
}
