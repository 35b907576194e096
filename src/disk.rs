//! The files of the operator: read within bounds, and replaced in one step.

mod mode;
mod password;
mod read;
mod remark;
mod replace;
mod rewrite;
mod shell;
mod signature;

pub(crate) use self::mode::Mode;
pub(crate) use self::password::password;
pub(crate) use self::read::{Content, LARGE, RegularFile, SMALL, lacks_resources, read};
pub(crate) use self::remark::Remark;
pub(crate) use self::replace::Staged;
pub(crate) use self::rewrite::Rewrite;
pub(crate) use self::shell::shell_word;
pub(crate) use self::signature::Signature;

#[cfg(test)]
mod tests;
