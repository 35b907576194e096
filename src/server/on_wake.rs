//! Futures that share a task without paying for each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future only when that future was woken, not whenever its task was. For a future that
/// shares a task with a busy one and seldom has anything to do.
pub(super) struct OnWake<F> {
    future: Pin<Box<F>>,
    waker: Option<Arc<OwnWaker>>,
}

/// The waker of the future, which remembers that it was used.
struct OwnWaker {
    woken: AtomicBool,
    task: Waker,
}

impl<F> OnWake<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Box::pin(future), waker: None }
    }
}

impl<F: Future> Future for OnWake<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let known = self.waker.take().filter(|waker| waker.task.will_wake(cx.waker()));
        let new = || Arc::new(OwnWaker { woken: AtomicBool::new(true), task: cx.waker().clone() });
        let waker = known.unwrap_or_else(new);
        let woken = waker.woken.swap(false, Ordering::AcqRel);
        let waker = self.waker.insert(waker);
        if !woken {
            return Poll::Pending;
        }
        let waker = Waker::from(waker.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for OwnWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn only_its_own_waker_has_it_polled() {
        let (sender, mut receiver) = oneshot::channel();
        let polls = Cell::new(0);
        let mut future = OnWake::new(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receiver).poll(cx)
        }));
        poll_fn(|cx| {
            assert!(Pin::new(&mut future).poll(cx).is_pending());
            assert!(Pin::new(&mut future).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(polls.get(), 1);
        sender.send(7).unwrap();
        assert_eq!(future.await, Ok(7));
        assert_eq!(polls.get(), 2);
    }
}
