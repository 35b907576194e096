//! SIOCOUTQ, the one system call here without a safe wrapper.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes that were written to a socket and that the peer has not acknowledged (tcp(7), SIOCOUTQ).
/// The send buffer may hold megabytes, so bytes written do not show what a slow client has
/// received.
#[expect(unsafe_code, reason = "neither std nor rustix offers SIOCOUTQ")]
pub(super) fn unacknowledged(socket: &impl AsFd) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes one int, for
    // which `bytes` has room.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(bytes).unwrap_or_default()) }
}
