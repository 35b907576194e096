//! The numbers of lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create, tell};

/// Whole pages of memory.
const PAGES: u64 = 16 << 10;

/// Gives out numbers without a gap, to one process or to several that write the same log.
pub(super) enum Numbers {
    /// The last one.
    Alone(u64),
    /// As long as the last one. A byte is appended for each number, which the kernel does for one
    /// process after the other.
    Shared(File),
}

impl Numbers {
    /// Those that other processes give out too, with what [`Numbers::share`] returned to one of
    /// them.
    pub(super) fn of(file: OwnedFd) -> io::Result<Self> {
        // Opened again, because a position that is shared says nothing.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        OpenOptions::new().append(true).open(path).map(Self::Shared)
    }

    /// From now on, other processes give them out too.
    pub(super) fn share(&mut self) -> io::Result<OwnedFd> {
        match self {
            Self::Shared(file) => file.as_fd().try_clone_to_owned(),
            Self::Alone(last) => {
                let file = memfd_create("tidegate audit log", MemfdFlags::CLOEXEC)?;
                // Takes no memory.
                ftruncate(&file, *last)?;
                let shared = Self::of(file.try_clone()?)?;
                *self = shared;
                Ok(file)
            }
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        let next = match self {
            Self::Alone(last) => *last + 1,
            Self::Shared(file) => match appended(file) {
                Ok(number) => return number,
                // Without memory for it, a number that is given twice is better than none.
                Err(_) => file.metadata().map_or(0, |metadata| metadata.len()) + 1,
            },
        };
        *self = Self::Alone(next);
        next
    }
}

/// Appends a byte, and returns how many there are then.
fn appended(file: &mut File) -> io::Result<u64> {
    file.write_all(&[0])?;
    let length = tell(&*file)?;
    if length % PAGES == 0 {
        // Only the length matters, so the memory can go. Without success it is small anyway.
        _ = fallocate(&*file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, length);
    }
    Ok(length)
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Alone(0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn several_processes_give_out_numbers_without_a_gap() {
        let mut old = Numbers::default();
        assert_eq!((old.next(), old.next()), (1, 2));
        let file = old.share().unwrap();
        let mut new = Numbers::of(file).unwrap();
        assert_eq!((new.next(), old.next(), old.next(), new.next()), (3, 4, 5, 6));
        let mut newest = Numbers::of(new.share().unwrap()).unwrap();
        assert_eq!((newest.next(), old.next()), (7, 8));
        drop(new);
        assert_eq!((old.next(), newest.next()), (9, 10));
    }

    #[test]
    fn numbers_that_were_given_take_no_memory() {
        let mut numbers = Numbers::default();
        let file = File::from(numbers.share().unwrap());
        for _ in 1..PAGES {
            numbers.next();
        }
        assert!(file.metadata().unwrap().blocks() > 0);
        assert_eq!((numbers.next(), numbers.next()), (PAGES, PAGES + 1));
        assert!(file.metadata().unwrap().blocks() * 512 <= 4096);
    }
}
