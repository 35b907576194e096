//! The files of the settings on the disk: proxy.toml itself, and those it names.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::report::{NamedFile, Report, position};
use crate::problem::Problem;

/// No proxy.toml is longer; a longer file is something else.
const LARGEST: u64 = 1 << 20;

/// The text of a proxy.toml.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let outcome = open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => (),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let help = "there is no such file; copy proxy.toml.example to it, or name another with --config";
            return Err(Problem::missing(path, help));
        }
        Err(error) => return Err(Problem::at(path, format_args!("cannot be read: {}", reason(&error)))),
    }
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::at(path, "is larger than 1 MiB and so no proxy.toml"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..sound]).into_owned();
        let (line, column) = position(&text, sound);
        let place = format!("{}:{line}:{column}", path.display());
        Problem::new(place, "a byte that is no UTF-8; save the file as UTF-8")
    })
}

/// Reports every file that the settings name and that is not there or not readable.
pub(super) fn check(report: &mut Report) {
    for NamedFile { key, path, place, remedy } in std::mem::take(&mut report.files) {
        let Err(error) = open(&path) else { continue };
        let shown = path.display();
        if error.kind() == ErrorKind::NotFound {
            report.missing(&place, format!("{key} names {shown}, which does not exist; {remedy}"));
        } else {
            let reason = reason(&error);
            report.wrong(&place, format!("{key} names {shown}, which cannot be read: {reason}"));
        }
    }
}

/// Opens a regular file; a pipe or a device could block for ever.
fn open(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "the user that runs tidegate may not read it".to_owned(),
        _ => error.to_string(),
    }
}
