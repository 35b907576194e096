//! Opens the files of the settings: proxy.toml itself, and the files it names.

use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{Access, access};

use super::report::{NamedFile, Report, position};
use crate::disk::{self, RegularFile, shell_word};
use crate::problem::Problem;

/// The text of a proxy.toml.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let content = match disk::read(path, disk::SMALL) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let help = "there is no such file; copy proxy.toml.example to this path, or name another file with --config or TIDEGATE_CONFIG";
            return Err(Problem::missing(path, help));
        }
        Err(error) => return Err(Problem::at(path, format_args!("cannot be read: {}", reason(&error)))),
    };
    String::from_utf8(content.bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..sound]).into_owned();
        let (line, column) = position(&text, sound);
        let place = format!("{}:{line}:{column}", path.display());
        Problem::new(place, "found a byte that is not UTF-8; save the file as UTF-8")
    })
}

/// Reports every file that the settings name and that does not exist, or cannot be read or written.
pub(super) fn check(report: &mut Report) {
    check_outputs(report);
    for NamedFile { key, path, location, remedy } in std::mem::take(&mut report.files) {
        let Err(error) = RegularFile::open(&path) else { continue };
        let shown = path.display();
        if error.kind() == ErrorKind::NotFound {
            report.missing(&location, format!("{key} names {shown}, which does not exist; {remedy}"));
        } else {
            let reason = reason(&error);
            report.wrong(&location, format!("{key} names {shown}, which cannot be read: {reason}"));
        }
    }
}

/// Reports every file that cannot be appended to, or made.
fn check_outputs(report: &mut Report) {
    for NamedFile { key, path, location, .. } in std::mem::take(&mut report.outputs) {
        let shown = path.display();
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if path.is_dir() {
            let message = format!("{key} names {shown}, which is a folder; write the path of a file");
            report.wrong(&location, message);
        } else if !folder.is_dir() {
            let command = shell_word(folder);
            let message = format!(
                "{key} names {shown}, whose folder does not exist; make it with `mkdir -p {command}`, writable for \
                 the user that runs tidegate"
            );
            report.missing(&location, message);
        } else if let Err(error) = access(if path.exists() { &path } else { folder }, Access::WRITE_OK) {
            let message = match error.kind() {
                ErrorKind::PermissionDenied => "the user that runs tidegate is not permitted to".to_owned(),
                _ => error.to_string(),
            };
            report.wrong(&location, format!("{key} names {shown}, which cannot be written: {message}"));
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "the user that runs tidegate is not permitted to read it".to_owned(),
        _ => error.to_string(),
    }
}
