use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::*;
use crate::config::{AccessFormat, AccessTarget, LogFormat};

fn opened(path: &Path) -> AuditLog {
    AuditLog::open(
        &config::Log {
            level: "info".to_owned(),
            format: LogFormat::Text,
            access: AccessTarget::Off,
            access_format: AccessFormat::Json,
            audit: Some(path.to_owned()),
            audit_required: false,
            audit_uploads: false,
        },
        None,
    )
    .unwrap()
}

fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let number =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap();
    text.lines().map(number).collect()
}

const START: Entry<'static> = Entry::new(Event::Start, Outcome::Success);

#[tokio::test]
async fn a_line_that_was_waited_for_is_in_the_file_and_the_lines_before_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = opened(&path);
    log.write(&START);
    log.write_now(&START).await;
    assert_eq!(numbers(&path), [1, 2]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(r#"{"time":"20"#) && text.contains(r#"Z","seq":1,"node":""#), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
    assert!(log.is_writable().await);
    log.close();
}

#[tokio::test]
async fn lines_before_a_rotation_stay_in_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let log = opened(&path);
    log.write(&START);
    fs::rename(&path, &rotated).unwrap();
    log.write(&START);
    log.reopen();
    log.write_now(&START).await;
    assert_eq!((numbers(&rotated), numbers(&path)), (vec![1, 2], vec![3]));
    // A file that cannot be opened again: the old one stays in use.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let kept = fs::File::open(&rotated).unwrap();
    log.reopen();
    log.write_now(&START).await;
    drop(kept);
    assert_eq!(log.lost(), 0);
    let clone = log.clone();
    log.close();
    // The log has ended for its clones as well.
    clone.write_now(&START).await;
    assert_eq!(clone.lost(), 0);
}

#[tokio::test]
async fn a_file_that_is_full_loses_lines_and_numbers_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let log = opened(&path);
    log.write_now(&START).await;
    log.write_now(&START).await;
    assert_eq!(log.lost(), 2);
    assert!(!log.is_writable().await);
    fs::remove_file(&path).unwrap();
    log.reopen();
    log.write_now(&START).await;
    assert!(log.is_writable().await);
    assert_eq!((numbers(&path), log.lost()), (vec![3], 2));
    log.close();
}

/// A FIFO in which there is no room for a single byte.
fn full_fifo(path: &Path) -> fs::File {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut options = fs::OpenOptions::new();
    let mut fifo = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while fifo.write(&vec![b'\n'; size]).is_ok() {}
    }
    fifo
}

#[tokio::test(start_paused = true)]
async fn one_waits_for_a_file_that_hangs_and_nobody_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let fifo = full_fifo(&path);
    let log = opened(&path);
    let start = tokio::time::Instant::now();
    log.write_now(&START).await;
    assert!(start.elapsed() >= PATIENCE);
    log.write_now(&START).await;
    assert!(!log.is_writable().await);
    assert!(start.elapsed() < 2 * PATIENCE, "only the first waits");
    assert_eq!(log.lost(), 0);

    // The queue has an end.
    while log.lost() == 0 {
        log.write(&START);
    }
    let mut lines = BufReader::new(fs::File::open(&path).unwrap()).lines();
    drop(fifo);
    let mut number = 0;
    for line in lines.by_ref().map(Result::unwrap).filter(|line| !line.is_empty()) {
        number += 1;
        assert!(line.contains(&format!("\"seq\":{number},")), "{line}");
        if number == 2 {
            break;
        }
    }
    let reading =
        std::thread::spawn(move || lines.map(Result::unwrap).filter(|line| !line.is_empty()).count());
    log.close();
    assert!(reading.join().unwrap() > 1000);
}
