//! LDAP as it is written: messages (RFC 4511), filters (RFC 4515) and names of entries (RFC 4514).
//! No I/O. What a server sends is read within bounds, and nothing in it is trusted.

mod ber;
mod dn;
mod filter;
mod message;

pub(crate) use self::dn::normal as normal_dn;
pub(crate) use self::filter::{Filter, is_attribute};
pub(crate) use self::message::{
    Answer, Entry, Malformed, Message, Outcome, Search, bind, frame, search, start_tls,
};
