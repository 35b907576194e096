//! How much fits where a frame is shown.

use std::env;
use std::io::{self, IsTerminal as _};

use rustix::termios::tcgetwinsize;

/// The size of a terminal that does not tell it.
const USUAL: (u16, u16) = (80, 24);

/// Where a frame is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    /// `usize::MAX` for a file, which shows everything.
    pub(super) height: usize,
    /// Whether block characters can be shown.
    pub(super) blocks: bool,
}

impl Size {
    /// The size of the terminal on standard output.
    pub(super) fn of_terminal() -> Self {
        let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col, size.ws_row)).ok();
        let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(USUAL);
        Self { width: width.into(), height: height.into(), blocks: has_blocks() }
    }

    /// For one frame: as wide as the terminal, or as COLUMNS says, and as long as it gets.
    pub(super) fn unbounded() -> Self {
        let columns =
            || env::var("COLUMNS").ok()?.parse().ok().filter(|columns| (20..=1000).contains(columns));
        let width = if io::stdout().is_terminal() { Some(Self::of_terminal().width) } else { columns() };
        Self { width: width.unwrap_or(USUAL.0.into()), height: usize::MAX, blocks: has_blocks() }
    }
}

/// Whether the locale is one of UTF-8 (locale(7): the first of these that is set counts).
fn has_blocks() -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(env::var_os).find(|value| !value.is_empty());
    let locale = set.unwrap_or_default().to_string_lossy().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
