//! `[log]`: the program's own log, the access log and the audit log.

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
    /// The file of the audit log, which is reopened on SIGHUP; `None` if there is none.
    pub audit: Option<PathBuf>,
    /// Whether the registry may be changed only while the audit log can be written.
    pub audit_required: bool,
    /// Whether blobs that are uploaded or mounted have lines in the audit log.
    pub audit_uploads: bool,
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
        let wanted = r#"the path of a file, or "" for none"#;
        let location = section.location("audit");
        let audit = section.text("audit", r#""""#, wanted, |text| match text {
            "" | "off" => Ok(None),
            "stdout" | "stderr" => Err("other logs go there".into()),
            text => path(text, &base).map(Some),
        });
        if let Some(Some(file)) = &audit {
            section.needs_output("audit", file, &location);
            if access == Some(AccessTarget::File(file.clone())) {
                section
                    .report
                    .wrong(&location, "log.audit and log.access name the same file; write two names");
            }
        }
        let location = section.location("audit_required");
        let audit_required = section.flag("audit_required", "false");
        if (audit_required, &audit) == (Some(true), &Some(None)) {
            let message = "log.audit_required needs an audit log; name a file in log.audit";
            section.report.wrong(&location, message);
        }
        let audit_uploads = section.flag("audit_uploads", "false");
        Some(Self {
            level: level?,
            format: format?,
            access: access?,
            access_format: access_format?,
            audit: audit?,
            audit_required: audit_required?,
            audit_uploads: audit_uploads?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        // The logs are set up once, so most keys are fixed.
        let Self { level, format, access, access_format, audit, audit_required, audit_uploads } = self;
        let access = match access {
            AccessTarget::Off => quoted("off"),
            AccessTarget::Stdout => quoted("stdout"),
            AccessTarget::File(file) => output(file, to),
        };
        let audit = audit.as_ref().map_or_else(|| quoted(""), |file| output(file, to));
        to.section("log");
        to.fixed("level", quoted(level));
        to.fixed("format", quoted(word(FORMATS, format)));
        to.fixed("access", access);
        to.fixed("access_format", quoted(word(ACCESS_FORMATS, access_format)));
        to.fixed("audit", audit);
        to.reloaded("audit_required", audit_required);
        to.reloaded("audit_uploads", audit_uploads);
    }
}

/// The path of a log. `./` keeps a file named "off" from being read as the word.
fn output(file: &Path, to: &Printer<'_>) -> String {
    match file.strip_prefix(to.base) {
        Ok(relative) if relative.is_relative() => quoted(Path::new(".").join(relative).display()),
        _ => to.path(file),
    }
}
