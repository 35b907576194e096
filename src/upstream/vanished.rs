//! Notices that the registry's machine has vanished without a word: its power or its network
//! failed, so it closes no connection.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A machine that acknowledges nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a connection is examined while tidegate waits for the registry.
const TICK: Duration = Duration::from_secs(2);

/// Has the kernel end the connection 14 s after the peer vanished, if nothing was sent to it that
/// it has to acknowledge.
pub(super) fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(3))
        .with_retries(3);
    SockRef::from(tcp).set_tcp_keepalive(&probes)
}

/// Examines a connection with bytes that the peer has to acknowledge. For those, the kernel waits
/// a quarter of an hour.
///
/// The kernel's own limit, TCP_USER_TIMEOUT, is of no use here. It also ends the connection to a
/// living registry that reads no byte of an upload for that time (tcp(7)), such as one whose
/// storage is slow.
#[derive(Default)]
pub(super) struct Examiner {
    alarm: Option<Pin<Box<Sleep>>>,
    /// The task that the alarm wakes.
    task: Option<Waker>,
    /// When the peer was first seen to owe an acknowledgement.
    owed_since: Option<Instant>,
}

impl Examiner {
    /// Whether the peer has vanished. If not, the task is woken for the next examination.
    pub(super) fn finds_vanished(&mut self, socket: BorrowedFd<'_>, cx: &mut Context<'_>) -> bool {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(TICK)));
        // Polls are frequent, and each would register the same task again.
        let is_awaited = self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
        if is_awaited && !alarm.is_elapsed() {
            return false;
        }
        self.task = Some(cx.waker().clone());
        while let Poll::Ready(()) = alarm.as_mut().poll(cx) {
            alarm.as_mut().reset(Instant::now() + TICK);
            if acknowledgements(socket).is_ok_and(|seen| owes(&mut self.owed_since, seen, Instant::now())) {
                return true;
            }
        }
        false
    }
}

/// What the kernel knows about the acknowledgements of the peer.
#[derive(Clone, Copy)]
struct Acknowledgements {
    /// Whether something was sent again, or a probe was sent, and not acknowledged since.
    owed: bool,
    /// Since the last one.
    age: Duration,
}

/// Whether the peer has owed an acknowledgement for too long.
fn owes(since: &mut Option<Instant>, seen: Acknowledgements, now: Instant) -> bool {
    if !seen.owed {
        *since = None;
        return false;
    }
    let first = *since.get_or_insert(now);
    if seen.age < now - first {
        // One has arrived since then.
        *since = Some(now);
        return false;
    }
    now - first >= PATIENCE
}

#[expect(unsafe_code, reason = "neither std nor rustix nor socket2 offers TCP_INFO")]
fn acknowledgements(socket: BorrowedFd<'_>) -> io::Result<Acknowledgements> {
    // SAFETY: every field is an integer.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes at most
    // `length` bytes.
    let result = unsafe {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut info).cast(), &raw mut length)
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(Acknowledgements {
        owed: info.tcpi_retransmits > 0 || info.tcpi_probes > 0,
        age: Duration::from_millis(info.tcpi_last_ack_recv.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(owed: bool, age: u32) -> Acknowledgements {
        Acknowledgements { owed, age: SECOND * age }
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_for_ten_seconds_has_vanished() {
        let (mut since, begin) = (None, Instant::now());
        for after in 0..10 {
            assert!(!owes(&mut since, seen(true, 60 + after), begin + SECOND * after), "{after}");
        }
        assert!(owes(&mut since, seen(true, 70), begin + PATIENCE));
    }

    #[test]
    fn a_peer_that_acknowledges_something_now_and_then_is_alive() {
        let (mut since, begin) = (None, Instant::now());
        assert!(!owes(&mut since, seen(true, 60), begin));
        assert!(!owes(&mut since, seen(true, 3), begin + SECOND * 9));
        assert!(!owes(&mut since, seen(true, 12), begin + SECOND * 18), "nine seconds, again");
        assert!(!owes(&mut since, seen(false, 100), begin + SECOND * 19), "a closed window");
        assert!(!owes(&mut since, seen(true, 101), begin + SECOND * 29));
    }
}
