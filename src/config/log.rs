//! `[log]`: the program's own log and the access log.

use std::path::{Path, PathBuf};

use super::expression::level;
use super::paths::path;
use super::print::{Printer, quoted};
use super::section::Section;
use super::words::{Words, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Directives of `tracing_subscriber::EnvFilter`, known to parse.
    pub level: String,
    /// The format of the program's own log, which goes to stderr.
    pub format: LogFormat,
    /// The target of the access log.
    pub access: AccessTarget,
    /// The format of the access log.
    pub access_format: AccessFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One object per line.
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    /// Appended to this file, which is reopened on SIGHUP.
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One object per line.
    Json,
    /// Apache's combined format.
    Combined,
}

const FORMATS: Words<LogFormat> = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const ACCESS_FORMATS: Words<AccessFormat> =
    &[("json", AccessFormat::Json), ("combined", AccessFormat::Combined)];

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = r#""off", "error", "warn", "info", "debug" or "trace", maybe by module: "info,tidegate::tls=debug""#;
        let level = section.text("level", r#""info""#, wanted, level);
        let format = section.word("format", r#""text""#, FORMATS);
        let base = section.report.base().to_owned();
        let wanted = r#""stdout", "off" or the path of a file"#;
        let location = section.location("access");
        let access = section.text("access", r#""stdout""#, wanted, |text| match text {
            "off" => Ok(AccessTarget::Off),
            "stdout" => Ok(AccessTarget::Stdout),
            "stderr" => Err("the program's own log goes there".into()),
            text => path(text, &base).map(AccessTarget::File),
        });
        if let Some(AccessTarget::File(path)) = &access {
            section.needs_output("access", path, &location);
        }
        let access_format = section.word("access_format", r#""json""#, ACCESS_FORMATS);
        section.later("audit");
        Some(Self { level: level?, format: format?, access: access?, access_format: access_format? })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        // Both logs are set up once, so every key is fixed.
        let Self { level, format, access, access_format } = self;
        let access = match access {
            AccessTarget::Off => quoted("off"),
            AccessTarget::Stdout => quoted("stdout"),
            // `./` keeps a file named "off" from being read as the word.
            AccessTarget::File(file) => match file.strip_prefix(to.base) {
                Ok(relative) if relative.is_relative() => quoted(Path::new(".").join(relative).display()),
                _ => to.path(file),
            },
        };
        to.section("log");
        to.fixed("level", quoted(level));
        to.fixed("format", quoted(word(FORMATS, format)));
        to.fixed("access", access);
        to.fixed("access_format", quoted(word(ACCESS_FORMATS, access_format)));
    }
}
