//! The record layer of a server's TLS 1.3 connection after its handshake (RFC 8446, section 5).
//!
//! rustls does the handshake and derives the keys. Its own record layer would copy the plaintext of
//! a record, allocate each record, and copy it once more to where it is sent from. Here the cipher
//! reads the plaintext where it lies and writes the record where it is sent from, and what arrives
//! is opened in place. No I/O: the caller has the buffers.
//!
//! What a client may do is what rustls lets it do, and its faults are rustls' errors. Where rustls
//! closes a connection without an alert, or takes what the RFC forbids, the RFC decides.

use std::ops::Range;

use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::{AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, PeerMisbehaved};

use super::record_key::{CONTENT, HEADER, OVERHEAD, RecordKey};

/// The most that follows the header of a record.
const LONGEST: usize = CONTENT + 256;
/// The type of the one handshake message that a server gets after the handshake. Five bytes: type,
/// length, and whether it asks for an answer.
const KEY_UPDATE: u8 = 24;
const KEY_UPDATE_BYTES: usize = 5;
const UPDATE_NOT_REQUESTED: u8 = 0;
const UPDATE_REQUESTED: u8 = 1;
/// Bytes of an alert.
pub(crate) const ALERT: usize = 2;
/// The level of an alert, which says nothing in TLS 1.3.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
/// Key updates that a client may send without data between them.
const KEY_UPDATES: u8 = 32;
/// Records without content that a client may send one after another.
const EMPTY_RECORDS: u8 = 32;
/// Alerts that mean nothing and that a client may send: Java sends one before its close_notify.
const IDLE_ALERTS: u8 = 4;

/// Both directions of a connection.
pub(crate) struct Records {
    sealer: RecordKey,
    opener: RecordKey,
    secrets: KernelConnection<ServerConnectionData>,
    /// Records that a key of the cipher may seal.
    limit: u64,
    /// Whether the client waits for new keys of ours.
    owes_key_update: bool,
    /// The first bytes of a handshake message.
    message: Vec<u8>,
    key_updates_left: u8,
    empty_records_left: u8,
    idle_alerts_left: u8,
}

/// A record that was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The length of the record.
    pub(crate) length: usize,
    pub(crate) content: Content,
}

/// What a record means for the reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Data, at this place of the record.
    Data(Range<usize>),
    /// Nothing.
    Nothing,
    /// The end of the client's side. What follows is to be ignored.
    End,
}

impl Records {
    /// Takes over a connection of TLS 1.3 after its handshake, when rustls has nothing to send.
    pub(crate) fn take_over(tls: UnbufferedServerConnection) -> Result<Self, Error> {
        let (keys, secrets) = tls.dangerous_into_kernel_connection()?;
        let suite = secrets.negotiated_cipher_suite().tls13().ok_or(Error::HandshakeNotComplete)?;
        Ok(Self {
            sealer: RecordKey::new(keys.tx)?,
            opener: RecordKey::new(keys.rx)?,
            secrets,
            limit: suite.common.confidentiality_limit,
            owes_key_update: false,
            message: Vec::new(),
            key_updates_left: KEY_UPDATES,
            empty_records_left: EMPTY_RECORDS,
            idle_alerts_left: IDLE_ALERTS,
        })
    }

    /// Frees the memory that only records on their way need, until the next one.
    pub(crate) fn rest(&mut self) {
        self.sealer.rest();
        self.opener.rest();
    }

    /// Opens the first record of `bytes` in place. `None` if it is incomplete.
    ///
    /// # Errors
    /// The client has broken the protocol, and nothing more must be opened. [`alert`] says what it
    /// is told.
    pub(crate) fn open(&mut self, bytes: &mut [u8]) -> Result<Option<Opened>, Error> {
        let &mut [typ, _, _, high, low, ..] = bytes else { return Ok(None) };
        let typ = ContentType::from(typ);
        if typ != ContentType::ApplicationData {
            return Err(unexpected(typ));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST {
            return Err(Error::PeerSentOversizedRecord);
        }
        let length = HEADER + length;
        let Some(record) = bytes.get_mut(..length) else { return Ok(None) };
        let (typ, content) = self.opener.open(record)?;
        if !self.message.is_empty() && typ != ContentType::Handshake {
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        self.empty_records_left = match content {
            [] if typ != ContentType::ApplicationData => return Err(unexpected(typ)),
            [] => one_less(self.empty_records_left, PeerMisbehaved::TooManyEmptyFragments)?,
            _ => EMPTY_RECORDS,
        };
        let content = match typ {
            ContentType::ApplicationData => {
                self.key_updates_left = KEY_UPDATES;
                Content::Data(HEADER..HEADER + content.len())
            }
            ContentType::Alert => read_alert(content, &mut self.idle_alerts_left)?,
            ContentType::Handshake => {
                self.message.extend_from_slice(content);
                self.read_message()?;
                Content::Nothing
            }
            typ => return Err(unexpected(typ)),
        };
        Ok(Some(Opened { length, content }))
    }

    /// A record that must be sent before the next one that is sealed: the client has asked for new
    /// keys, or ours has sealed what it may.
    pub(crate) fn key_update(&mut self) -> Result<Option<[u8; KEY_UPDATE_BYTES + OVERHEAD]>, Error> {
        // The update itself is the last record under a key.
        let is_used_up = self.sealer.next().saturating_add(1) >= self.limit;
        let request = match (self.owes_key_update, is_used_up) {
            (false, false) => return Ok(None),
            (true, _) => UPDATE_NOT_REQUESTED,
            (false, true) => UPDATE_REQUESTED,
        };
        let mut record = [0; _];
        self.sealer.seal(ContentType::Handshake, &[KEY_UPDATE, 0, 0, 1, request], &mut record)?;
        self.sealer = RecordKey::new(self.secrets.update_tx_secret()?)?;
        self.owes_key_update = false;
        Ok(Some(record))
    }

    /// Seals data, at most [`CONTENT`] bytes, into `record`, which is longer by [`OVERHEAD`].
    pub(crate) fn seal(&mut self, data: &[u8], record: &mut [u8]) -> Result<(), Error> {
        self.sealer.seal(ContentType::ApplicationData, data, record)
    }

    /// The same for data in two parts. The second has at most [`AFTER`] bytes.
    ///
    /// [`AFTER`]: super::AFTER
    pub(crate) fn seal_both(&mut self, data: &[u8], after: &[u8], record: &mut [u8]) -> Result<(), Error> {
        self.sealer.seal_both(ContentType::ApplicationData, data, after, record)
    }

    /// Seals the data that `write` writes to its place in `record`, all of it.
    pub(crate) fn seal_in_place(
        &mut self,
        record: &mut [u8],
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Error> {
        self.sealer.seal_in_place(ContentType::ApplicationData, record, write)
    }

    /// Seals an alert, [`ALERT`] bytes, into `record`. Nothing more must be sealed then.
    pub(crate) fn seal_alert(&mut self, alert: AlertDescription, record: &mut [u8]) -> Result<(), Error> {
        let level = if alert == AlertDescription::CloseNotify { WARNING } else { FATAL };
        self.sealer.seal(ContentType::Alert, &[level, alert.into()], record)
    }

    /// Reads the handshake message that has arrived, or waits for the rest of it.
    fn read_message(&mut self) -> Result<(), Error> {
        let request = match *self.message {
            [KEY_UPDATE] | [KEY_UPDATE, 0] | [KEY_UPDATE, 0, 0] | [KEY_UPDATE, 0, 0, 1] => return Ok(()),
            [KEY_UPDATE, 0, 0, 1, request] => request,
            // A change of keys must be the last of its record.
            [KEY_UPDATE, 0, 0, 1, ..] => return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into()),
            [KEY_UPDATE, ..] => return Err(InvalidMessage::MissingData("KeyUpdate").into()),
            _ => {
                return Err(Error::InappropriateHandshakeMessage {
                    expect_types: vec![HandshakeType::KeyUpdate],
                    got_type: HandshakeType::from(self.message.first().copied().unwrap_or_default()),
                });
            }
        };
        self.key_updates_left = one_less(self.key_updates_left, PeerMisbehaved::TooManyKeyUpdateRequests)?;
        match request {
            UPDATE_NOT_REQUESTED => {}
            UPDATE_REQUESTED => self.owes_key_update = true,
            _ => return Err(InvalidMessage::InvalidKeyUpdate.into()),
        }
        self.message = Vec::new();
        self.opener = RecordKey::new(self.secrets.update_rx_secret()?)?;
        Ok(())
    }
}

/// The alert for a client's fault (RFC 8446, section 6.2). `None` if the client has sent an alert.
pub(crate) fn alert(fault: &Error) -> Option<AlertDescription> {
    match fault {
        Error::AlertReceived(_) => None,
        Error::DecryptError => Some(AlertDescription::BadRecordMac),
        Error::PeerSentOversizedRecord => Some(AlertDescription::RecordOverflow),
        Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate) => Some(AlertDescription::IllegalParameter),
        Error::InvalidMessage(_) => Some(AlertDescription::DecodeError),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => Some(AlertDescription::UnexpectedMessage),
        _ => Some(AlertDescription::InternalError),
    }
}

/// Reads an alert. Any but the two that are no errors is one, whatever its level.
fn read_alert(content: &[u8], idle_left: &mut u8) -> Result<Content, Error> {
    let &[level, alert] = content else {
        return Err(InvalidMessage::TrailingData("AlertMessagePayload").into());
    };
    match AlertDescription::from(alert) {
        AlertDescription::CloseNotify => Ok(Content::End),
        AlertDescription::UserCanceled if level == WARNING => {
            *idle_left = one_less(*idle_left, PeerMisbehaved::TooManyWarningAlertsReceived)?;
            Ok(Content::Nothing)
        }
        alert => Err(Error::AlertReceived(alert)),
    }
}

fn one_less(left: u8, fault: PeerMisbehaved) -> Result<u8, Error> {
    left.checked_sub(1).ok_or_else(|| fault.into())
}

fn unexpected(got_type: ContentType) -> Error {
    Error::InappropriateMessage { expect_types: vec![ContentType::ApplicationData], got_type }
}

#[cfg(test)]
mod tests;
