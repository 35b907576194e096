//! The output of a child process, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::DEADLINE;

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    ended: bool,
    reading: Reading,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    On,
    Paused,
    Closed,
}

/// The lines of a stream so far, and a way to wait for more.
#[derive(Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Output>, Condvar)>,
}

impl Lines {
    /// Reads `stream` to its end in a separate thread.
    pub fn follow(stream: impl Read + Send + 'static) -> Lines {
        let lines = Lines::default();
        let reader = lines.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.may_read() && stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                reader.shared.0.lock().unwrap().lines.push(text);
                reader.shared.1.notify_all();
            }
            drop(stream);
            reader.shared.0.lock().unwrap().ended = true;
            reader.shared.1.notify_all();
        });
        lines
    }

    /// Waits while reading is paused. Returns whether to go on.
    fn may_read(&self) -> bool {
        let output = self.shared.0.lock().unwrap();
        let paused = |output: &mut Output| output.reading == Reading::Paused;
        self.shared.1.wait_while(output, paused).unwrap().reading == Reading::On
    }

    fn set(&self, reading: Reading) {
        self.shared.0.lock().unwrap().reading = reading;
        self.shared.1.notify_all();
    }

    /// Reads nothing more, except for a line that is waited for already, until `resume`.
    pub fn pause(&self) {
        self.set(Reading::Paused);
    }

    pub fn resume(&self) {
        self.set(Reading::On);
    }

    /// Closes the reader's end after the next line.
    pub fn close(&self) {
        self.set(Reading::Closed);
    }

    /// Returns the first line for which `wanted` holds, and waits for it if necessary.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_after(0, what, wanted)
    }

    /// Like `wait_for`, among the lines from number `start` on.
    pub fn wait_after(&self, start: usize, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut output = self.shared.0.lock().unwrap();
        let mut seen = start;
        loop {
            for line in output.lines.iter().skip(seen) {
                if wanted(line) {
                    return line.clone();
                }
            }
            seen = output.lines.len().max(start);
            let left = deadline.saturating_duration_since(Instant::now());
            if output.ended || left.is_zero() {
                let said = output.lines.join("\n");
                drop(output);
                panic!("never saw {what}; the output was:\n{said}");
            }
            output = self.shared.1.wait_timeout(output, left).unwrap().0;
        }
    }

    /// Waits until the stream has ended, then returns all lines.
    pub fn to_end(&self) -> Vec<String> {
        let output = self.shared.0.lock().unwrap();
        let (output, waited) =
            self.shared.1.wait_timeout_while(output, DEADLINE, |output| !output.ended).unwrap();
        let lines = output.lines.clone();
        drop(output);
        assert!(!waited.timed_out(), "the output never ended:\n{}", lines.join("\n"));
        lines
    }

    /// The number of lines so far, as a start for `wait_after`.
    pub fn len(&self) -> usize {
        self.shared.0.lock().unwrap().lines.len()
    }

    /// All lines so far.
    pub fn so_far(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().lines.clone()
    }
}
