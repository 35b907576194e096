//! The terminal while `tidegate top` runs: another screen, no cursor, and keys without a line.

use std::io::{self, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::line::{Line, Look};
use super::size::Size;

/// xterm(1): the alternate screen, and the cursor hidden.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// In termios(3), a character that no key sends.
const DISABLED: u8 = 0;

/// The terminal is put back as it was when this is dropped.
pub(super) struct Screen {
    /// How standard input was, if it is a terminal.
    before: Option<Termios>,
    look: Look,
}

impl Screen {
    /// # Errors
    /// Standard output is gone.
    pub(super) fn enter(look: Look) -> io::Result<Self> {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut mode = before.clone();
            mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // A stopped process would leave the other screen behind.
            mode.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
            mode.special_codes[SpecialCodeIndex::VMIN] = 1;
            mode.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Flush, &mode)?;
        }
        let screen = Self { before, look };
        write(ENTER)?;
        Ok(screen)
    }

    /// Whether keys can be read.
    pub(super) fn has_keys(&self) -> bool {
        self.before.is_some()
    }

    /// Replaces what is shown, in one write and without clearing first, so that nothing flickers.
    ///
    /// # Errors
    /// Standard output is gone.
    pub(super) fn show(&self, lines: &[Line], size: Size) -> io::Result<()> {
        let lines: Vec<String> =
            lines.iter().map(|line| line.render(size.width, self.look) + "\x1b[K").collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        _ = write(LEAVE);
        if let Some(before) = &self.before {
            _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
