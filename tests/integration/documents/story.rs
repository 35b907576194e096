//! A page as a story: its blocks in their order, each as what it is.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::command::{self, Place};
use super::markdown::{Block, Page};
use super::{ignored, output, settings, yaml};
use crate::harness::{service, tools};

/// Where a page is acted out.
struct Stage<'a> {
    repository: &'a Path,
    /// The folder of the reader: it has what the page has made so far.
    reader: TempDir,
    /// A folder in which every file that is named exists.
    complete: TempDir,
    /// The last file that was whole; fragments are completed with it.
    whole: String,
    /// The page makes its own certificate, and so tells everything from the beginning.
    from_nothing: bool,
}

/// Acts out a page and returns what went wrong. Fragments of settings are completed with the last
/// whole file of the page, at first with `smallest`.
pub fn act_out(page: &Page, smallest: &str, repository: &Path) -> Vec<String> {
    let commands = page.blocks.iter().filter(|block| block.language == "sh");
    let from_nothing = commands.into_iter().any(|block| block.text.contains("tidegate cert server"));
    let mut stage = Stage {
        repository,
        reader: TempDir::new().unwrap(),
        complete: TempDir::new().unwrap(),
        whole: smallest.to_owned(),
        from_nothing,
    };
    settings::lay_out(smallest, stage.complete.path());
    if !from_nothing {
        fs::write(stage.reader.path().join("proxy.toml"), smallest).unwrap();
    }
    let mut problems = Vec::new();
    for block in &page.blocks {
        let found = stage.act(block);
        problems.extend(found.into_iter().map(|problem| format!("{}:{}: {problem}", page.name, block.line)));
    }
    let exposed = ignored::secrets(stage.reader.path());
    problems.extend(exposed.iter().map(|file| format!("{}: git does not ignore {file}", page.name)));
    problems
}

impl Stage<'_> {
    fn act(&mut self, block: &Block) -> Vec<String> {
        match block.language.as_str() {
            "toml" => self.settings(&block.text),
            "sh" => self.commands(&block.text),
            "console" => self.session(&block.text),
            "yaml" => yaml::problems(&block.text, self.complete.path()),
            "haproxy" => haproxy(&block.text),
            "nginx" => nginx(&block.text),
            "caddy" => caddy(&block.text),
            "json" => json(&block.text),
            "text" => output::problems(&block.text, self.repository),
            language => vec![format!("a block of unknown kind {language:?}: nothing would check it")],
        }
    }

    /// Settings must load without a warning, alone or completed.
    fn settings(&mut self, text: &str) -> Vec<String> {
        let mut text = text.to_owned();
        let alone = self.load(&text);
        if alone.is_err() {
            text = settings::completed(&text, &self.whole);
        } else {
            self.whole.clone_from(&text);
        }
        let loaded = alone.or_else(|_| self.load(&text));
        fs::write(self.reader.path().join("proxy.toml"), settings::moved(&text, self.reader.path())).unwrap();
        loaded.err().into_iter().map(|error| format!("{error}\nin:\n{text}")).collect()
    }

    fn load(&self, text: &str) -> Result<(), String> {
        let folder = self.complete.path();
        let text = settings::moved(text, folder);
        settings::lay_out(&text, folder);
        fs::write(folder.join("proxy.toml"), text).unwrap();
        // With --dump, nobody is asked: the directories and issuers of the pages are examples.
        let ended = command::run("tidegate check --dump --config proxy.toml", folder);
        // Without a network there is no certificate from a directory yet.
        let warnings = ended.stderr.lines().filter(|line| !line.contains(": a temporary certificate,"));
        let warnings: Vec<&str> = warnings.collect();
        if ended.success && warnings.is_empty() { Ok(()) } else { Err(warnings.join("\n")) }
    }

    fn commands(&self, text: &str) -> Vec<String> {
        let lines = command::lines(text);
        if lines.is_empty() {
            return vec!["a block without a command".to_owned()];
        }
        lines.iter().flat_map(|line| self.command(line, None)).collect()
    }

    /// Commands after `$ `, with what they print.
    fn session(&self, text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        for part in format!("\n{text}").split("\n$ ").skip(1) {
            let (line, output) = part.split_once('\n').unwrap_or((part, ""));
            problems.extend(self.command(line, Some(output.trim_end())));
        }
        if !text.starts_with("$ ") {
            problems.push("a session begins with `$ ` and a command".to_owned());
        }
        problems
    }

    fn command(&self, line: &str, output: Option<&str>) -> Vec<String> {
        let (reader, complete) = (self.reader.path(), self.complete.path());
        match command::judge(line) {
            Err(problem) => vec![format!("{line}: {problem}")],
            Ok(Place::Elsewhere) => {
                let problems = command::look_at(line, &[reader, complete, self.repository]);
                problems.into_iter().map(|problem| format!("{line}: {problem}")).collect()
            }
            Ok(Place::Here) => {
                if !self.from_nothing {
                    let settings = fs::read_to_string(reader.join("proxy.toml")).unwrap();
                    self.lend(line, &settings);
                }
                let ended = command::run(line, reader);
                match output {
                    Some(output) if ended.stdout.trim_end() != output => {
                        vec![format!("{line} prints:\n{}{}", ended.stdout, ended.stderr)]
                    }
                    None if !ended.success => {
                        vec![format!("{line} failed:\n{}{}", ended.stdout, ended.stderr)]
                    }
                    _ => Vec::new(),
                }
            }
        }
    }

    /// Gives the reader the files that earlier pages have made, where the program is to read them.
    fn lend(&self, line: &str, text: &str) {
        if ["tidegate check", "tidegate serve"].iter().any(|command| line.starts_with(command)) {
            settings::lay_out(text, self.reader.path());
        }
    }
}

/// What haproxy says against its settings.
fn haproxy(text: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let checked = tools::run(crate::harness::haproxy::PROGRAM, &["-c", "-f", file.to_str().unwrap()]);
    if checked.success { Vec::new() } else { vec![checked.stderr] }
}

/// What nginx says against a server of its settings.
fn nginx(text: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let file = service::nginx_settings(text, folder.path());
    let arguments = ["-t", "-e", "stderr", "-c", file.to_str().unwrap()];
    let checked = tools::run(service::NGINX, &arguments);
    if checked.success { Vec::new() } else { vec![checked.stderr] }
}

/// What caddy says against its settings. It does not open the files that they name.
fn caddy(text: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("Caddyfile");
    fs::write(&file, text).unwrap();
    let arguments = ["adapt", "--adapter", "caddyfile", "--config", file.to_str().unwrap()];
    let checked = tools::run("caddy", &arguments);
    if checked.success { Vec::new() } else { vec![checked.stderr] }
}

fn json(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).err());
    lines.map(|error| error.to_string()).collect()
}
