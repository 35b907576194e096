use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::fixtures;
use super::*;
use crate::config::{Log, LogFormat};

fn log(access: AccessTarget, access_format: AccessFormat) -> Log {
    Log {
        level: "info".to_owned(),
        format: LogFormat::Text,
        access,
        access_format,
        audit: None,
        audit_required: false,
        audit_uploads: false,
    }
}

fn record(path: &str) -> Record {
    Record { path: path.to_owned(), ..fixtures::record() }
}

#[test]
fn a_file_is_appended_to_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    for _ in 0..2 {
        let access = AccessLog::open(&log(AccessTarget::File(path.clone()), AccessFormat::Combined)).unwrap();
        access.write(&record("/v2/"));
        access.close();
    }
    let line = record("/v2/").combined();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n{line}\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !output::MODE, 0);
}

#[test]
fn a_rotated_file_is_left_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let access = AccessLog::open(&log(AccessTarget::File(path.clone()), AccessFormat::Json)).unwrap();
    let clone = access.clone();
    access.write(&record("/before"));
    fs::rename(&path, &rotated).unwrap();
    clone.write(&record("/between"));
    access.reopen();
    clone.write(&record("/after"));
    access.close();
    // The log has ended for its clones as well.
    clone.write(&record("/late"));
    clone.close();
    let lines = |path: &Path| fs::read_to_string(path).unwrap();
    assert_eq!(lines(&rotated), format!("{}\n{}\n", record("/before").json(), record("/between").json()));
    assert_eq!(lines(&path), format!("{}\n", record("/after").json()));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let target = AccessTarget::File(folder.path().join("missing/access.log"));
    let error = AccessLog::open(&log(target, AccessFormat::Json)).err().map(|error| error.kind());
    assert_eq!(error, Some(io::ErrorKind::NotFound));
}

#[test]
fn a_log_that_is_off_takes_everything() {
    let access = AccessLog::open(&log(AccessTarget::Off, AccessFormat::Json)).unwrap();
    access.write(&record("/"));
    access.reopen();
    access.close();
}

#[test]
fn it_goes_from_thread_to_thread() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<AccessLog>();
}
