//! Shows one status after the other until the user has seen enough.

use std::io::{self, Read as _};

use http::StatusCode;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Duration, sleep};

use super::error::TopError;
use super::events::Events;
use super::facts::{number, seconds};
use super::frame::{Speed, View, frame};
use super::line::{Line, Look, Style};
use super::screen::Screen;
use super::size::Size;
use crate::cli::admin_client::Client;

const PATH: &str = "/api/events";

/// The pause between two attempts to reach tidegate.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows the events of `client` on the terminal until `q`, Ctrl-C or a signal.
///
/// # Errors
/// There is no first event. Later, a lost connection is shown and opened again.
pub(super) async fn watch(client: &Client, look: Look) -> Result<(), TopError> {
    let mut signals = Signals::new()?;
    let events = open(client).await?;
    let screen = Screen::enter(look)?;
    let mut shown = Shown::default();
    tokio::select! {
        failed = shown.follow(client, events, &screen, &mut signals.resized) => failed.map_err(TopError::from),
        () = signals.end.received() => Ok(()),
        () = quit_key(&screen) => Ok(()),
    }
}

/// Opens the stream of events.
async fn open(client: &Client) -> Result<Events, TopError> {
    let answer = client.open(PATH).await?;
    if answer.status() == StatusCode::OK {
        Ok(Events::new(answer.into_body()))
    } else {
        Err(TopError::refused(client, answer.status()))
    }
}

/// What is on the screen.
#[derive(Default)]
struct Shown {
    status: Value,
    chart: Value,
    speed: Speed,
    lost: Option<String>,
}

impl Shown {
    /// Shows events, and opens the stream again whenever it ends.
    async fn follow(
        &mut self,
        client: &Client,
        mut events: Events,
        screen: &Screen,
        resized: &mut Signal,
    ) -> io::Result<()> {
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Ok(status) => self.take(status),
                    Err(why) => {
                        self.lost = Some(why.to_owned());
                        self.show(screen)?;
                        events = self.open_again(client, screen, resized).await?;
                    }
                },
                _ = resized.recv() => {}
            }
            self.show(screen)?;
        }
    }

    async fn open_again(
        &mut self,
        client: &Client,
        screen: &Screen,
        resized: &mut Signal,
    ) -> io::Result<Events> {
        loop {
            tokio::select! {
                () = sleep(PAUSE) => match open(client).await {
                    Ok(events) => return Ok(events),
                    Err(why) => self.lost = Some(why.to_string()),
                },
                _ = resized.recv() => {}
            }
            self.show(screen)?;
        }
    }

    fn take(&mut self, mut status: Value) {
        self.speed = speed(&self.status, &status);
        if let Some(chart) = status.get_mut("chart").map(Value::take).filter(Value::is_object) {
            self.chart = chart;
        }
        self.status = status;
        self.lost = None;
    }

    fn show(&self, screen: &Screen) -> io::Result<()> {
        let size = Size::of_terminal();
        let view =
            View { status: &self.status, speed: self.speed, chart: &self.chart, lost: self.lost.as_deref() };
        let mut lines = frame(&view, size);
        // The last line is free for this.
        lines.resize_with(size.height.saturating_sub(1), Line::default);
        lines.push(Line::new(Style::Dim, "q quits"));
        screen.show(&lines, size)
    }
}

/// Bytes per second between two statuses of one process.
fn speed(before: &Value, now: &Value) -> Speed {
    let between = |key: &str| Some(number(now, key)? - number(before, key)?).filter(|moved| *moved >= 0.0);
    let passed = seconds(now, "/time").zip(seconds(before, "/time")).map(|(now, before)| now - before);
    let per_second = |key| Some(between(key)? / passed.filter(|passed| *passed > 0.0)?);
    Speed { sent: per_second("/bytes/sent"), received: per_second("/bytes/received") }
}

struct Signals {
    end: End,
    resized: Signal,
}

/// The signals that end the command.
struct End([Signal; 4]);

impl Signals {
    fn new() -> io::Result<Self> {
        let end = End([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::quit())?,
        ]);
        Ok(Self { end, resized: signal(SignalKind::window_change())? })
    }
}

impl End {
    async fn received(&mut self) {
        let [interrupt, terminate, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// Waits for `q` on the terminal; for ever if there are no keys.
async fn quit_key(screen: &Screen) {
    let (typed, quit) = oneshot::channel();
    if screen.has_keys() {
        // The thread ends with the process.
        std::thread::spawn(move || {
            let goes_on = |byte: &io::Result<u8>| !matches!(byte, Ok(b'q' | b'Q'));
            if io::stdin().lock().bytes().take_while(goes_on).all(|byte| byte.is_ok()) {
                _ = typed.send(());
            }
        });
        if quit.await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_speed_is_what_moved_between_two_statuses() {
        let status = |time, sent| json!({"time": time, "bytes": {"sent": sent, "received": null}});
        let before = status("2026-11-29T15:00:00.000Z", 100);
        assert_eq!(speed(&before, &status("2026-11-29T15:00:02.000Z", 1100)).sent, Some(500.0));
        // After a restart of tidegate, and at the same moment.
        assert_eq!(speed(&before, &status("2026-11-29T15:00:02.000Z", 50)), Speed::default());
        assert_eq!(speed(&before, &status("2026-11-29T15:00:00.000Z", 200)), Speed::default());
        assert_eq!(speed(&Value::Null, &before), Speed::default());
    }
}
