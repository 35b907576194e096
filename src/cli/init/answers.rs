//! Questions, on the terminal or over standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write as _};

use super::super::exit::complain;

/// Bytes that are read of an answer.
const LONGEST: u64 = 4096;

/// Whether and how questions are asked. The prompts go to standard error.
pub(super) struct Answers {
    asks: bool,
}

impl Answers {
    /// Without `asks`, every question has its usual answer.
    pub(super) fn new(asks: bool) -> Self {
        Self { asks }
    }

    /// Whether somebody is asked.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// `known`, or else the answer to `question`. Enter and the end of the input are `usual`. An
    /// answer that `parse` refuses is asked for again.
    ///
    /// # Errors
    /// What `parse` says of the usual answer, if there is no other.
    pub(super) fn get<T>(
        &mut self,
        known: Option<T>,
        question: &str,
        usual: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        if let Some(known) = known {
            return Ok(known);
        }
        while self.asks {
            let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
            let Some(answer) = ask(&format!("{question}{shown}: ")) else {
                self.asks = false;
                break;
            };
            match parse(if answer.is_empty() { usual } else { &answer }) {
                Ok(value) => return Ok(value),
                Err(why) => complain(&format!("  {why}")),
            }
        }
        parse(usual)
    }
}

/// A line of standard input without blanks around it; `None` at its end.
fn ask(prompt: &str) -> Option<String> {
    let mut terminal = io::stderr();
    _ = write!(terminal, "{prompt}").and_then(|()| terminal.flush());
    let stdin = io::stdin();
    let mut line = Vec::new();
    let read = stdin.lock().take(LONGEST).read_until(b'\n', &mut line);
    if !stdin.is_terminal() || !line.ends_with(b"\n") {
        // Nobody has pressed Enter to end the line of the prompt.
        complain("");
    }
    match read {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).trim().to_owned()),
    }
}
