//! Who watches the status live, and what they get.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Watchers at once.
const MOST: usize = 16;
/// Events that wait for one watcher. A watcher that is slower misses the next ones.
const WAITING: usize = 1;

/// All watchers. Every event is written once and shared.
#[derive(Default)]
pub(super) struct Watchers {
    places: Cell<usize>,
    queues: RefCell<Vec<mpsc::Sender<Bytes>>>,
    /// Whether somebody sends the events.
    is_served: Cell<bool>,
    has_ended: Cell<bool>,
}

/// The place of one watcher, until it is dropped.
pub(super) struct Place(Rc<Watchers>);

/// A body of events, which ends with the process.
pub(super) struct Events {
    first: Option<Bytes>,
    queue: mpsc::Receiver<Bytes>,
    _place: Place,
}

impl Watchers {
    /// A place for another watcher; `None` if all are taken, or if the process ends.
    pub(super) fn enter(self: &Rc<Self>) -> Option<Place> {
        if self.places.get() >= MOST || self.has_ended.get() {
            return None;
        }
        self.places.set(self.places.get() + 1);
        Some(Place(self.clone()))
    }

    /// The events for a watcher, after a `first` one of its own. Whoever gets `true` with it has to
    /// send them, until [`Watchers::send`] says that nobody watches.
    pub(super) fn watch(&self, place: Place, first: Vec<u8>) -> (Events, bool) {
        let (sender, queue) = mpsc::channel(WAITING);
        if !self.has_ended.get() {
            self.queues.borrow_mut().push(sender);
        }
        (Events { first: Some(event(&first)), queue, _place: place }, !self.is_served.replace(true))
    }

    /// Whether anybody watches. Once nobody does, the sender of the events ends.
    pub(super) fn has_any(&self) -> bool {
        let mut queues = self.queues.borrow_mut();
        queues.retain(|queue| !queue.is_closed());
        self.is_served.set(!queues.is_empty());
        !queues.is_empty()
    }

    /// Sends an event to all. Those that have not taken the one before miss it.
    pub(super) fn send(&self, data: &[u8]) {
        let event = event(data);
        for queue in self.queues.borrow().iter() {
            _ = queue.try_send(event.clone());
        }
    }

    /// Ends all events, for good.
    pub(super) fn end(&self) {
        self.has_ended.set(true);
        self.queues.borrow_mut().clear();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(watchers) = self;
        watchers.places.set(watchers.places.get().saturating_sub(1));
    }
}

/// One event. `data` is JSON, which has no line breaks.
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html>
fn event(data: &[u8]) -> Bytes {
    [b"data: ", data, b"\n\n"].concat().into()
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.queue.poll_recv(cx).map(|event| Some(Ok(Frame::data(event?))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn next(events: &mut Events) -> Option<String> {
        let frame = events.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn events_are_shared_and_the_slow_miss_some() {
        let watchers = Rc::new(Watchers::default());
        let mut all: Vec<Events> = Vec::new();
        for number in 0..MOST {
            let (events, is_first) = watchers.watch(watchers.enter().unwrap(), b"first".to_vec());
            assert_eq!(is_first, number == 0);
            all.push(events);
        }
        assert!(watchers.enter().is_none(), "all places are taken");
        watchers.send(b"1");
        let mut quick = all.pop().unwrap();
        assert_eq!(next(&mut quick).await.unwrap(), "data: first\n\n");
        assert_eq!(next(&mut quick).await.unwrap(), "data: 1\n\n");
        watchers.send(b"2");
        assert_eq!(next(&mut quick).await.unwrap(), "data: 2\n\n");
        let mut slow = all.pop().unwrap();
        assert_eq!(next(&mut slow).await.unwrap(), "data: first\n\n");
        assert_eq!(next(&mut slow).await.unwrap(), "data: 1\n\n");
        watchers.send(b"3");
        assert_eq!(next(&mut slow).await.unwrap(), "data: 3\n\n");
        drop(quick);
        assert!(watchers.enter().is_some(), "a place is free again");
        assert!(watchers.has_any());
        watchers.end();
        assert_eq!(next(&mut slow).await, None);
        assert!(watchers.enter().is_none() && !watchers.has_any());
    }

    #[tokio::test]
    async fn nothing_is_sent_while_nobody_watches() {
        let watchers = Rc::new(Watchers::default());
        let (events, must_send) = watchers.watch(watchers.enter().unwrap(), Vec::new());
        assert!(must_send && watchers.has_any());
        drop(events);
        assert!(!watchers.has_any());
        let (_events, must_send) = watchers.watch(watchers.enter().unwrap(), Vec::new());
        assert!(must_send, "the sender before has ended");
    }
}
