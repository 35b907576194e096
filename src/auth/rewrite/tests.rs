use super::*;
use crate::auth::htpasswd::{Htpasswd, check_user};
use proptest::prelude::*;
use std::os::unix::fs::symlink;

const HASH: &str = "$2y$04$Tju/QotMV39d5.XvElOMEOCPs7VPknc5JoEJru8bbqf6RiS2cajUe";

fn add(path: &Path, user: &str) {
    let rewrite = Rewrite::begin(path, true).unwrap();
    let (text, _) = set_user(rewrite.text(), user.as_bytes(), HASH);
    rewrite.commit(&text).unwrap();
}

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

#[test]
fn makes_the_file_and_keeps_mode_and_owner_of_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    assert_eq!(Rewrite::begin(&path, false).err().unwrap().kind(), ErrorKind::NotFound);
    add(&path, "alice");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, NEW_MODE);
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    let before = fs::metadata(&path).unwrap();
    add(&path, "bob");
    let after = fs::metadata(&path).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o604);
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_ne!(before.ino(), after.ino(), "replaced, not written over");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "").unwrap();
    symlink("real", &link).unwrap();
    add(&link, "alice");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), format!("alice:{HASH}\n").as_bytes());
    fs::remove_file(&real).unwrap();
    assert!(Rewrite::begin(&link, true).is_err(), "a link to nothing");
}

#[test]
fn a_draft_of_a_crashed_run_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    fs::write(folder.path().join(".htpasswd.new"), "half").unwrap();
    add(&path, "alice");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn two_at_once_lose_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || (0..10).for_each(|number| add(path, &format!("user-{thread}-{number}"))));
        }
    });
    assert_eq!(Htpasswd::parse(&fs::read(&path).unwrap(), false).unwrap().len(), 40);
}

proptest! {
    #[test]
    fn setting_and_removing_leave_the_others(text in "([a-z]{1,3}:[a-z]{0,3}\r?\n|#[a-z]{0,3}\n|\n){0,8}", user in "[a-z]{1,3}") {
        prop_assert!(check_user(user.as_bytes()).is_ok());
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
