//! Who someone is: the htpasswd file and the check of a password against it.
//!
//! [`open`] follows the users of a file on disk, [`Verifier`] says whether a password is theirs, [`Throttle`] how often
//! somebody may be wrong, and [`edit`] changes such a file for the `htpasswd` command.

mod apr1;
mod cache;
mod crypt64;
pub mod edit;
mod hash;
pub mod htpasswd;
mod pool;
mod sha_crypt;
pub mod throttle;
pub mod verifier;

pub use hash::{HIGHEST_COST, HashError, LOWEST_COST, StoredHash};
pub use htpasswd::{BadLine, Htpasswd, open};
pub use throttle::{Charge, Throttle};
pub use verifier::{Verdict, Verifier};
