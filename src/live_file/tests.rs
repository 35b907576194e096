use super::*;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// The users of a file with lines `user:`. A line without a colon is invalid.
type Users = Vec<String>;

fn open(path: &Path) -> Result<LiveFile<Users>, Problems> {
    LiveFile::open(path, "file of users", "make it", Box::new(parse))
}

fn parse(path: &Path, text: &[u8]) -> Result<Users, Vec<Problem>> {
    let text = String::from_utf8_lossy(text);
    let user = |line: &str| line.strip_suffix(':').map(str::to_owned);
    let bad = |(number, line): (usize, &str)| {
        user(line).is_none().then(|| Problem::new(format!("{}:{}", path.display(), number + 1), "bad"))
    };
    match text.lines().enumerate().filter_map(bad).collect::<Vec<_>>() {
        bad if bad.is_empty() => Ok(text.lines().filter_map(user).collect()),
        bad => Err(bad),
    }
}

fn line(user: &str) -> String {
    format!("{user}:\n")
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn names(file: &LiveFile<Users>) -> Users {
    file.current().unwrap().to_vec()
}

/// A folder with an htpasswd of one user, alice.
fn folder() -> (tempfile::TempDir, PathBuf, LiveFile<Users>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    fs::write(&path, line("alice")).unwrap();
    let file = open(&path).unwrap();
    (folder, path, file)
}

#[test]
fn an_edit_counts_at_the_next_look() {
    let (_folder, path, file) = folder();
    assert_eq!(names(&file), ["alice"]);
    replace(&path, &line("bobby"));
    assert_eq!(names(&file), ["bobby"]);
    fs::write(&path, line("carol")).unwrap();
    assert_eq!(names(&file), ["carol"]);
}

#[test]
fn an_edit_of_the_same_size_within_the_grain_of_the_clock_counts() {
    let (_folder, path, file) = folder();
    for number in 0..200 {
        let user = format!("user{number:03}");
        fs::write(&path, line(&user)).unwrap();
        assert_eq!(names(&file), [user]);
    }
}

#[test]
fn a_fresh_signature_is_not_trusted_yet() {
    let (_folder, path, _) = folder();
    let reading = Reading::of(&path).unwrap();
    let at = |nanos: i128| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.try_into().unwrap());
    let mut coarse = reading.signature;
    coarse.changed = 1_700_000_000 * 1_000_000_000;
    let mut fine = coarse;
    fine.changed += 123;
    for (signature, limit) in [(coarse, RACY_NANOS_COARSE), (fine, RACY_NANOS)] {
        let reading = Reading { text: Vec::new(), signature, whole: true };
        assert!(!reading.is_settled(at(signature.changed)));
        assert!(!reading.is_settled(at(signature.changed + limit - 1)));
        assert!(reading.is_settled(at(signature.changed + limit)));
        assert!(reading.is_settled(at(signature.changed - limit)), "a time ahead is not fresh for ever");
        assert!(!Reading { whole: false, ..reading }.is_settled(at(signature.changed + limit)));
    }
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let (_folder, path, file) = folder();
    let signature = Signature::at(&path).unwrap();
    let users = file.current().unwrap();
    file.loaded.store(Arc::new(Loaded {
        content: Arc::clone(&users),
        signature: Some(signature),
        settled: true,
    }));
    assert!(Arc::ptr_eq(&users, &file.current().unwrap()));
}

#[test]
fn a_bad_or_missing_file_leaves_the_old_users_and_is_said_once() {
    let (_folder, path, file) = folder();
    replace(&path, "alice without a colon\n");
    assert_eq!(names(&file), ["alice"]);
    let signature = Signature::at(&path).unwrap();
    assert!(*file.complaint.lock().unwrap() == Some(Complaint::Bad(signature)));
    fs::remove_file(&path).unwrap();
    assert_eq!(names(&file), ["alice"]);
    assert!(*file.complaint.lock().unwrap() == Some(Complaint::Unreadable(io::ErrorKind::NotFound)));
    fs::create_dir(&path).unwrap();
    assert_eq!(names(&file), ["alice"]);
    fs::remove_dir(&path).unwrap();
    fs::write(&path, line("bobby")).unwrap();
    assert_eq!(names(&file), ["bobby"]);
    assert!(file.complaint.lock().unwrap().is_none());
}

#[test]
fn emptied_in_place_is_being_written_emptied_by_rename_is_empty() {
    let (_folder, path, file) = folder();
    let emptied = File::create(&path).unwrap();
    emptied.set_modified(SystemTime::now() + Duration::from_millis(900)).unwrap();
    assert_eq!(names(&file), ["alice"]);
    emptied.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(names(&file), [""; 0]);

    let (_folder, path, file) = folder();
    replace(&path, "");
    assert_eq!(names(&file), [""; 0]);
}

#[test]
fn symbolic_links_are_followed_when_they_are_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, user) in [("..1", "alice"), ("..2", "bobby")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("htpasswd"), line(user)).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/htpasswd", at("htpasswd")).unwrap();
    let file = open(&at("htpasswd")).unwrap();
    assert_eq!(names(&file), ["alice"]);
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(names(&file), ["bobby"]);
}

#[test]
fn at_the_start_everything_wrong_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    let problems = |path: &Path| open(path).map(|_| ()).unwrap_err().0;
    let missing = problems(&path);
    assert!(missing.len() == 1 && missing[0].missing, "{missing:?}");
    assert_eq!(missing[0].place, path.display().to_string());

    fs::write(&path, format!("{}alice\n{}bob\n", line("alice"), line("bob"))).unwrap();
    let bad = problems(&path);
    let places: Vec<_> = bad.iter().map(|problem| problem.place.clone()).collect();
    assert_eq!(places, [2, 4].map(|line| format!("{}:{line}", path.display())));
    assert!(bad.iter().all(|problem| !problem.missing));

    assert!(!problems(folder.path())[0].missing, "a folder is no file");
    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    assert!(problems(&fifo)[0].message.contains("regular"), "a FIFO does not block");
}

#[test]
fn many_threads_may_look_at_once() {
    let (_folder, path, file) = folder();
    replace(&path, &line("bobby"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let found = names(&file);
                    assert!(found == ["alice"] || found == ["bobby"]);
                }
            });
        }
    });
    assert_eq!(names(&file), ["bobby"]);
}

#[test]
fn a_file_that_may_be_absent_is_empty_until_it_is_there_and_then_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let open = || LiveFile::open_or_absent(&path, "file of users", "make it", Box::new(parse));
    let file = open().unwrap();
    assert!(names(&file).is_empty() && names(&file).is_empty());
    assert!(file.complaint.lock().unwrap().is_none());
    fs::write(&path, line("alice")).unwrap();
    assert_eq!(names(&file), ["alice"]);
    replace(&path, "bob without a colon\n");
    assert_eq!(names(&file), ["alice"]);
    assert!(open().is_err(), "a bad file is no absent one");
    fs::remove_file(&path).unwrap();
    assert_eq!(names(&file), ["alice"]);
    assert!(names(&open().unwrap()).is_empty());
    symlink("nowhere", &path).unwrap();
    assert!(open().is_err(), "a link to nothing was meant for something");
}
