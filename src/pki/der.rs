//! Reading DER (X.690) element by element.

use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};

/// The remaining elements at one level of a structure.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

/// The bytes are not DER, or do not have the expected structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Elements<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the next element as a `T`, whose decoder checks the tag.
    pub(super) fn next<T: FromDer<'a>>(&mut self) -> Result<T, Malformed> {
        let (rest, value) = T::from_der(self.0).map_err(|_| Malformed)?;
        self.0 = rest;
        Ok(value)
    }

    /// Returns the bytes of the next element, with its tag and length.
    pub(super) fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        let before = self.0;
        self.next::<Any<'a>>()?;
        before.get(..before.len() - self.0.len()).ok_or(Malformed)
    }

    /// Returns the elements of the next one, which must be a SEQUENCE.
    pub(super) fn sequence(&mut self) -> Result<Self, Malformed> {
        let sequence: Any<'a> = self.next()?;
        let is_sequence = (sequence.class(), sequence.tag()) == (Class::Universal, Tag::Sequence);
        if is_sequence { Ok(Self(sequence.data)) } else { Err(Malformed) }
    }

    /// Returns the content of the next element if it has the context-specific `tag`.
    pub(super) fn tagged(&mut self, tag: u32) -> Result<Option<Self>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut rest = *self;
        let element: Any<'a> = rest.next()?;
        if (element.class(), element.tag()) != (Class::ContextSpecific, Tag(tag)) {
            return Ok(None);
        }
        *self = rest;
        Ok(Some(Self(element.data)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails if an element is left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}
