//! One connection to a directory: one operation at a time, and a bound on every answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::failure::Broken;
use crate::https::Stream;
use crate::ldap::{Answer, Entry, Message, Outcome, Search, bind, frame, search};

/// There are more entries than were asked for.
pub(super) const SIZE_LIMIT_EXCEEDED: u32 = 4;

/// Bytes of all that a server sends for one operation.
const LONGEST_ANSWER: usize = 1 << 20;

/// A connection. After an error, or an operation that was not waited for, it must be dropped: an
/// answer may still be on its way.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Which of the servers it leads to.
    pub(super) server: usize,
    /// The id of the latest request.
    latest: u32,
    /// What has arrived behind the latest message.
    arrived: Vec<u8>,
    /// Nobody reads the rest of the latest answer.
    is_spent: bool,
}

/// What a search has found.
pub(super) struct Found {
    /// No more than were asked for.
    pub(super) entries: Vec<Entry>,
    pub(super) outcome: Outcome,
}

impl Connection {
    /// `latest` is the id of the last request that was sent before.
    pub(super) fn new(stream: Box<dyn Stream>, server: usize, latest: u32) -> Self {
        Self { stream, server, latest, arrived: Vec::new(), is_spent: false }
    }

    /// Whether the server has neither closed the connection nor sent anything since the last
    /// operation. The bytes of TLS itself, such as a session ticket, do not count.
    pub(super) fn is_idle(&mut self) -> bool {
        if self.is_spent {
            return false;
        }
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        self.arrived.is_empty() && matches!(read, Poll::Pending)
    }

    /// Logs in. The password must not be empty.
    pub(super) async fn bind(&mut self, dn: &str, password: &[u8]) -> Result<Outcome, Broken> {
        self.send(bind(self.latest + 1, dn, password)).await?;
        match self.answer(&mut 0).await? {
            Answer::Bound(outcome) => Ok(outcome),
            _ => Err(crate::ldap::Malformed.into()),
        }
    }

    /// Searches. References to other servers are not followed. Samba knows no size limit: the
    /// search ends here with the first entry too many, and so does the use of the connection.
    pub(super) async fn search(&mut self, wanted: &Search<'_>) -> Result<Found, Broken> {
        self.send(search(self.latest + 1, wanted)).await?;
        let (mut entries, mut read) = (Vec::new(), 0);
        loop {
            match self.answer(&mut read).await? {
                Answer::Entry(entry) if entries.len() < wanted.size_limit as usize => entries.push(entry),
                Answer::Reference => {}
                Answer::Searched(outcome) => return Ok(Found { entries, outcome }),
                Answer::Entry(_) => {
                    self.is_spent = true;
                    let outcome = Outcome { code: SIZE_LIMIT_EXCEEDED, text: String::new() };
                    return Ok(Found { entries, outcome });
                }
                Answer::Bound(_) | Answer::Extended(_) => {
                    return Err(crate::ldap::Malformed.into());
                }
            }
        }
    }

    async fn send(&mut self, request: Vec<u8>) -> Result<(), Broken> {
        self.latest += 1;
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next message, which is an answer to the latest request. `read` counts the bytes.
    async fn answer(&mut self, read: &mut usize) -> Result<Answer, Broken> {
        loop {
            if let Some(length) = frame(&self.arrived)? {
                if length.saturating_add(*read) > LONGEST_ANSWER {
                    return Err(Broken::TooLong(LONGEST_ANSWER));
                }
                if let Some(bytes) = self.arrived.get(..length) {
                    let Message { id, answer } = Message::parse(bytes)?;
                    self.arrived.drain(..length);
                    *read += length;
                    return match answer {
                        Answer::Extended(outcome) if id == 0 => Err(Broken::Closed(outcome)),
                        answer if id == self.latest => Ok(answer),
                        _ => Err(crate::ldap::Malformed.into()),
                    };
                }
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
