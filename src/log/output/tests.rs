use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};

use super::*;

fn fifo(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("access.log");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    path
}

#[test]
fn a_fifo_without_a_reader_is_opened_at_once_and_keeps_the_first_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path());
    let mut output = file(&path).unwrap();
    output.write_all(b"0000\n").unwrap();
    let mut reader = fs::File::open(&path).unwrap();
    output.write_all(b"1111\n").unwrap();
    drop(output);
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "0000\n1111\n");
}

#[test]
fn a_full_pipe_that_does_not_block_is_waited_for() {
    let (mut reader, pipe) = io::pipe().unwrap();
    fcntl_setfl(&pipe, OFlags::NONBLOCK).unwrap();
    let mut output = stream(pipe.as_fd()).unwrap();
    drop(pipe);
    let bytes = vec![b'x'; 1 << 20];
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all.len())
    });
    output.write_all(&bytes).unwrap();
    drop(output);
    assert_eq!(reading.join().unwrap().unwrap(), bytes.len());
}

#[test]
fn a_pipe_that_nobody_reads_any_more_is_an_error() {
    let (reader, pipe) = io::pipe().unwrap();
    drop(reader);
    let mut output = stream(&pipe).unwrap();
    assert_eq!(output.write(b"0000\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn only_one_pipe_for_both_streams_is_shared() {
    let ((_reader, pipe), (_other_reader, other)) = (io::pipe().unwrap(), io::pipe().unwrap());
    assert!(are_one(&pipe, pipe.try_clone().unwrap()));
    assert!(!are_one(&pipe, &other));
    let file = tempfile::tempfile().unwrap();
    assert!(!are_one(&file, &file), "no write to a file is torn");
}

#[test]
fn a_shared_pipe_gets_whole_lines_in_pieces_that_are_not_torn() {
    let output = |most| Output { file: tempfile::tempfile().unwrap(), most };
    for (most, expected) in
        [(3, "00\n"), (4, "00\n"), (6, "00\n11\n"), (7, "00\n11\n"), (99, "00\n11\n2222\n")]
    {
        assert_eq!(output(most).first(b"00\n11\n2222\n"), expected.as_bytes(), "{most}");
    }
    assert_eq!(output(3).first(b"a long line\n1\n"), b"a long line\n");
    assert_eq!(output(3).first(b"half a line"), b"half a line");
}
