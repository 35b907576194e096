use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::replace::replace;
use super::*;
use crate::secret::Secret;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn append(path: &Path, line: &str) {
    let rewrite = Rewrite::begin(path, Some(0o640)).unwrap();
    let text = [rewrite.text(), line.as_bytes(), b"\n"].concat();
    rewrite.commit(&text).unwrap();
}

#[test]
fn makes_the_file_and_keeps_mode_and_owner_of_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    replace(&path, b"one", 0o640).unwrap();
    assert_eq!(mode(&path), 0o640);
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    let before = fs::metadata(&path).unwrap();
    replace(&path, b"two", 0o640).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((mode(&path), fs::read(&path).unwrap().as_slice()), (0o604, &b"two"[..]));
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_ne!(before.ino(), after.ino(), "replaced, not written over");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_secret_is_never_open_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let write = || Staged::secret(&path, &Secret::new(*b"secret")).unwrap().commit().unwrap();
    write();
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    write();
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let staged = Staged::new(&path, b"new", 0o600).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    drop(staged);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_symbolic_link_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "").unwrap();
    symlink("real", &link).unwrap();
    replace(&link, b"one", 0o600).unwrap();
    append(&link, " two");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(&real).unwrap(), b"one two\n");
    fs::remove_file(&real).unwrap();
    assert!(Rewrite::begin(&link, Some(0o600)).is_err(), "a link to nothing");
    assert!(replace(&link, b"", 0o600).is_err(), "a link to nothing");
}

#[test]
fn only_a_regular_file_is_replaced_and_only_a_permitted_one_made() {
    let folder = tempfile::tempdir().unwrap();
    let sentence = replace(folder.path(), b"", 0o600).unwrap_err().to_string();
    assert_eq!(sentence, "it is not a regular file");
    let image = folder.path().join("image");
    File::create(&image).unwrap().set_len((64 << 20) + 1).unwrap();
    assert_eq!(Rewrite::begin(&image, None).unwrap_err().to_string(), "it is larger than 64 MiB");
    let missing = folder.path().join("missing");
    assert_eq!(Rewrite::begin(&missing, None).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(Rewrite::begin(&missing, Some(0o600)).unwrap().is_new());
}

#[test]
fn two_rewrites_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || (0..10).for_each(|number| append(path, &format!("{thread}-{number}"))));
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().collect::<BTreeSet<_>>().len(), 40);
}
