//! What an LDAP server sends: whole messages, one behind another, and the beginning of the next.
//!
//! A message is as long as its first bytes say, wherever the input is cut.

use crate::ldap::{Message, frame};

/// Checks one input.
pub(super) fn ldap_messages(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some(length)) = frame(rest) {
        assert!(length > 1);
        // What arrives in pieces is read as what arrives at once.
        assert!(
            (0..rest.len().min(8))
                .all(|cut| frame(&rest[..cut]).is_ok_and(|cut| cut.is_none_or(|cut| cut == length)))
        );
        let Some((message, behind)) = rest.split_at_checked(length) else { return };
        if let Ok(parsed) = Message::parse(message) {
            assert_eq!(Message::parse(message).as_ref(), Ok(&parsed));
            assert!(Message::parse(&message[..length - 1]).is_err());
        }
        rest = behind;
    }
}
