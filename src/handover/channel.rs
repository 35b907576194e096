//! The connection between a process and the one that takes over from it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::estate::Estate;

/// Most bytes of a message.
const LONGEST: usize = 128 << 10;
/// Most descriptors of a message. The kernel takes 253.
const MOST: usize = 250;

/// What the two processes say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// The one that the old one has started: this process takes over.
    Started(u32),
    /// The old one: this passes over, and the descriptors with it.
    Take(Estate),
    /// The new one: it can serve.
    Ready,
    /// The new one: it cannot serve, for this reason.
    Failed(String),
    /// The old one: it accepts nothing any more, so the new one may.
    Go,
    /// The new one: another one has taken over from it, so its own end means nothing.
    Replaced,
}

/// One end. Messages are whole or absent. The socket is not a datagram socket, because those do not
/// tell that the other end is gone. The type only waits for it.
#[derive(Debug)]
pub(super) struct Channel(UnixDatagram);

impl Channel {
    /// One end, and the other for a child process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::of(ours)?, theirs))
    }

    /// Must be called within a runtime.
    pub(super) fn of(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        UnixDatagram::from_std(socket.into()).map(Self)
    }

    /// Waits until there is room for the message.
    pub(super) async fn send(&self, word: &Word, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(word)?;
        if text.len() > LONGEST || descriptors.len() > MOST {
            return Err(io::Error::other("too many listening addresses to pass them on"));
        }
        self.0.async_io(Interest::WRITABLE, || send(self.0.as_fd(), &text, descriptors)).await
    }

    /// The next message, and the descriptors that came with it. `None` when the other process has
    /// ended.
    pub(super) async fn receive(&self) -> io::Result<Option<(Word, Vec<OwnedFd>)>> {
        let mut text = vec![0; LONGEST];
        let (length, descriptors) =
            self.0.async_io(Interest::READABLE, || receive(self.0.as_fd(), &mut text)).await?;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&text[..length])?, descriptors)))
    }
}

/// Says `word` at once or not at all. For a process that ends.
pub(super) fn say(socket: impl AsFd, word: &Word) -> io::Result<()> {
    send(socket.as_fd(), &serde_json::to_vec(word)?, &[])
}

fn send(socket: BorrowedFd<'_>, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, text: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    match receive_once(socket, text) {
        // The other process has ended with a message of ours unread. The kernel says so once,
        // before it hands over what that process has sent.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive_once(socket, text),
        received => received,
    }
}

fn receive_once(socket: BorrowedFd<'_>, text: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(text)], &mut control, flags)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = rights.flatten().collect();
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn messages_arrive_whole_with_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::of(other).unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        one.send(&Word::Take(Estate::default()), &[far.as_fd(), far.as_fd()]).await.unwrap();
        one.send(&Word::Go, &[]).await.unwrap();
        let (word, mut descriptors) = other.receive().await.unwrap().unwrap();
        assert!(matches!(word, Word::Take(_)) && descriptors.len() == 2, "{word:?}");
        near.write_all(b"through").unwrap();
        let mut text = [0; 7];
        UnixStream::from(descriptors.remove(0)).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"through");
        let (word, descriptors) = other.receive().await.unwrap().unwrap();
        assert!(matches!(word, Word::Go) && descriptors.is_empty(), "{word:?}");
        drop(one);
        assert!(other.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_was_said_before_an_end_with_unread_messages_is_heard() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&Word::Ready, &[]).await.unwrap();
        say(&other, &Word::Failed("why".to_owned())).unwrap();
        drop(other);
        let heard = one.receive().await.unwrap();
        assert!(matches!(&heard, Some((Word::Failed(why), _)) if why == "why"), "{heard:?}");
        assert!(one.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_end_with_unread_messages_is_an_end() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&Word::Ready, &[]).await.unwrap();
        drop(other);
        assert!(one.receive().await.unwrap().is_none());
    }
}
