//! Why something could not be measured, as a sentence.

use std::error::Error;

/// Shown below the table; nobody tells one kind from another.
pub type Failure = Box<dyn Error + Send + Sync>;

pub type Outcome<T> = Result<T, Failure>;
