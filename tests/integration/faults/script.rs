//! Registries that play one fault, step by step, and are sound before and after it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::client::BEGUN;
use crate::harness::DEADLINE;
use crate::harness::fake::{Conversation, is_check};

/// What the registry does next on a connection. After the last step it is sound again.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Reads the head of a request.
    Head,
    /// Reads at least this many bytes of a body.
    Read(usize),
    /// Writes.
    Say(&'static str),
    /// Writes the same text again and again.
    Repeat(&'static str, usize),
    /// Waits until the client has the head of the answer, so that no reset can overtake it.
    ClientHasHead,
    /// Lets some time pass. Only for faults that are about time.
    Pause(std::time::Duration),
    /// Closes in an orderly way what was read; unread bytes make it a reset.
    Close,
    Reset,
    /// Reads and discards until the other side closes.
    Listen,
    /// Reads nothing until the other side closes.
    Ignore,
}

/// Whether the fault is on, and what has happened so far.
#[derive(Default)]
pub struct Stage {
    is_on: AtomicBool,
    /// How often the fault was begun.
    plays: AtomicUsize,
    /// Requests of clients whose heads were read.
    requests: AtomicUsize,
    client_has_head: (Mutex<bool>, Condvar),
}

impl Stage {
    /// Has the fault played from now on.
    pub fn begin(&self) {
        *self.client_has_head.0.lock().unwrap() = false;
        self.is_on.store(true, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.is_on.store(false, Ordering::SeqCst);
        self.tell_client_has_head();
    }

    pub fn tell_client_has_head(&self) {
        *self.client_has_head.0.lock().unwrap() = true;
        self.client_has_head.1.notify_all();
    }

    pub fn plays(&self) -> usize {
        self.plays.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    pub fn play(&self) {
        self.plays.fetch_add(1, Ordering::SeqCst);
    }

    fn wait_until_client_has_head(&self) {
        let waiting = self.client_has_head.0.lock().unwrap();
        drop(self.client_has_head.1.wait_timeout_while(waiting, DEADLINE, |has| !*has).unwrap());
    }
}

/// Serves one connection: soundly, or by `script` while the fault is on.
pub fn serve(stage: &Arc<Stage>, script: &[Step], sound: &str, conversation: &mut Conversation) {
    let begins_at_once = !matches!(script.first(), Some(Step::Head));
    if begins_at_once && stage.is_on() {
        stage.play();
        if !play(stage, script, conversation) {
            return;
        }
    }
    while let Some(head) = conversation.read_head() {
        // What tidegate asks by itself is no part of the fault.
        if !is_check(&head) {
            stage.requests.fetch_add(1, Ordering::SeqCst);
            if stage.is_on() && !begins_at_once {
                stage.play();
                if !play(stage, &script[1..], conversation) {
                    return;
                }
                continue;
            }
        }
        read_body(&head, conversation);
        let body = if head[0].starts_with("HEAD") { "" } else { sound };
        conversation.write(
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Sound: {sound}\r\nContent-Length: {}\r\n\r\n{body}",
                sound.len()
            )
            .as_bytes(),
        );
        return;
    }
}

/// Reads the body of a request whose `Content-Length` is known, or the part that clients send at
/// once.
fn read_body(head: &[String], conversation: &mut Conversation) {
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    let mut left = length.unwrap_or(0).min(BEGUN);
    while left > 0 {
        let Some(bytes) = conversation.read_some() else { return };
        left = left.saturating_sub(bytes.len());
    }
}

/// Whether the connection goes on.
fn play(stage: &Stage, script: &[Step], conversation: &mut Conversation) -> bool {
    for step in script {
        match *step {
            Step::Head => {
                if conversation.read_head().is_none() {
                    return false;
                }
                stage.requests.fetch_add(1, Ordering::SeqCst);
            }
            Step::Read(mut left) => {
                while left > 0 {
                    let Some(bytes) = conversation.read_some() else { return false };
                    left = left.saturating_sub(bytes.len());
                }
            }
            Step::Say(text) => {
                conversation.write(text.as_bytes());
            }
            Step::Repeat(text, times) => {
                conversation.write(text.repeat(times).as_bytes());
            }
            Step::ClientHasHead => stage.wait_until_client_has_head(),
            Step::Pause(time) => std::thread::sleep(time),
            Step::Close => return false,
            Step::Reset => {
                conversation.reset();
                return false;
            }
            Step::Listen => {
                while conversation.read_some().is_some() {}
                return false;
            }
            Step::Ignore => {
                conversation.wait_for_end();
                return false;
            }
        }
    }
    true
}
