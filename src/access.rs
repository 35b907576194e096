//! Who may do what. Only this module makes a [`Permit`], and nothing reaches the upstream without one.

/// Who sent a request, once that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody was asked: `auth.mode = "off"`.
    Anyone,
    /// A user of the htpasswd file, by the bytes of his name.
    User(Vec<u8>),
}

/// The proof that a request was decided on and may be forwarded.
#[derive(Debug)]
pub struct Permit {
    identity: Identity,
}

impl Permit {
    /// In whose name the request goes on.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Decides. There are no rules yet: whoever is known may do everything.
pub fn decide(identity: Identity) -> Permit {
    Permit { identity }
}
