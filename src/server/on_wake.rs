//! Futures that share a task without paying for each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future only when it has been woken itself, not whenever its task is. For what waits beside a busy
/// future and seldom has to do anything.
pub(super) struct OnWake<F> {
    future: Pin<Box<F>>,
    bell: Option<Arc<Bell>>,
}

struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl<F> OnWake<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: None }
    }
}

impl<F: Future> Future for OnWake<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let known = self.bell.take().filter(|bell| bell.task.will_wake(cx.waker()));
        let bell =
            known.unwrap_or_else(|| Arc::new(Bell { rung: AtomicBool::new(true), task: cx.waker().clone() }));
        let rung = bell.rung.swap(false, Ordering::AcqRel);
        let bell = self.bell.insert(bell);
        if !rung {
            return Poll::Pending;
        }
        let waker = Waker::from(bell.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
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
