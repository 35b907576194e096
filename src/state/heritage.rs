//! What clients have been given by one process, and another one must understand.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tag_locks::TagLocks;
use super::{Shared, State};
use crate::secret::Secret;

/// The secrets of a process that are in no file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Heritage {
    /// The random keys of TLS tickets, each with its period.
    tickets: Vec<(u64, Carried)>,
    /// The key of tokens, if no file has it.
    token_key: Option<Carried>,
    /// What seals the places of uploads: the first certificate may be another one by now.
    upload_places: Vec<Carried>,
    /// What names the locks on immutable tags.
    tag_locks: Option<Carried>,
}

/// A secret on its way to another process of tidegate.
struct Carried(Secret);

impl Shared {
    /// What a process needs that goes on in the place of this one.
    pub(crate) fn heritage(&self) -> Heritage {
        let state = self.state();
        Heritage {
            tickets: state
                .tls
                .ticket_keys()
                .into_iter()
                .map(|(period, key)| (period, Carried(key)))
                .collect(),
            token_key: state.tokens.as_ref().and_then(|tokens| tokens.fresh_key()).map(Carried),
            upload_places: state.upload_places.secrets().iter().cloned().map(Carried).collect(),
            tag_locks: Some(Carried(self.tag_locks.family().clone())),
        }
    }

    /// Has the locks on immutable tags in common with the process before.
    pub(crate) fn take_over_locks(&mut self, heritage: &Heritage) {
        if let Some(Carried(family)) = &heritage.tag_locks {
            self.tag_locks = Arc::new(TagLocks::of(family.clone(), self.engine.as_ref()));
        }
    }
}

impl Heritage {
    /// Gives a new state what is not in a file.
    pub(crate) fn pass_to(&self, state: &mut State) {
        let tickets = self.tickets.iter().map(|(period, Carried(key))| (*period, key.clone()));
        state.tls.take_over_ticket_keys(tickets);
        if let (Some(Carried(key)), Some(tokens)) = (&self.token_key, &state.tokens) {
            tokens.take_over_key(key);
        }
        state.upload_places.accept(self.upload_places.iter().map(|Carried(secret)| secret.clone()));
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(self.0.expose()))
    }
}

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // The library's error would quote a byte.
        let bytes = STANDARD.decode(text).map_err(|_| D::Error::custom("a secret is not in base64"))?;
        Ok(Self(Secret::new(bytes)))
    }
}
