//! The reason why something could not be measured, as a sentence.

use std::error::Error;

/// Shown below the table. Nothing depends on the kind of error, so it is plain text.
pub type Failure = Box<dyn Error + Send + Sync>;

pub type Outcome<T> = Result<T, Failure>;
