//! The allocator of the program.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_set_default, mi_option_t, mi_option_use_numa_nodes,
    mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// Blocks of at least this size have this alignment without being asked for it
/// (`MI_MAX_ALIGN_SIZE` of mimalloc). Smaller ones are aligned to their size.
const NATURAL: usize = 16;
/// `mi_option_purge_delay` of mimalloc.h. The crate has only the option after it.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;
const PURGE_MILLISECONDS: libc::c_long = 100;

/// mimalloc, called without an alignment where blocks have it anyway. The allocator of the crate
/// `mimalloc` always asks for one, which was 4 % of the instructions of a small request.
pub struct Allocator;

#[expect(unsafe_code, reason = "an allocator is an unsafe trait, and mimalloc is written in C")]
// SAFETY: mimalloc keeps the contract of `GlobalAlloc`: blocks do not overlap, are as large and as
// aligned as asked for, and any of its functions can free them.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if is_natural(layout) {
                mi_malloc(layout.size()).cast()
            } else {
                mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if is_natural(layout) {
                mi_zalloc(layout.size()).cast()
            } else {
                mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        unsafe {
            if is_natural(layout) && size >= layout.align() {
                mi_realloc(block.cast(), size).cast()
            } else {
                mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

fn is_natural(layout: Layout) -> bool {
    layout.align() <= NATURAL && layout.align() <= layout.size()
}

impl Allocator {
    /// Returns unused memory to the system after 100 ms instead of mimalloc's default of a second.
    /// mimalloc checks only while it is used, so memory may stay long after a burst of requests.
    /// `MIMALLOC_PURGE_DELAY` overrides this.
    #[expect(unsafe_code, reason = "the crate has no safe way to set an option of mimalloc")]
    pub fn set_purge_delay(&self) {
        // SAFETY: the option is in the table that the number is stored in.
        unsafe { mi_option_set_default(PURGE_DELAY, PURGE_MILLISECONDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`is_natural`] relies on it.
    #[test]
    #[expect(unsafe_code, reason = "an allocator can be asked in no other way")]
    fn every_block_is_aligned_as_asked_for_and_keeps_its_content_when_it_grows() {
        for align in [1, 2, 4, 8, 16, 32, 4096] {
            for size in (1..300).chain([1000, 4097, 100_000]) {
                let (old, new) = (Layout::from_size_align(size, align).unwrap(), size * 3 / 2 + 1);
                // SAFETY: the sizes are not 0, and each block is given back once, with its layout.
                unsafe {
                    let block = Allocator.alloc_zeroed(old);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align), "{old:?}");
                    assert_eq!(*block.add(size - 1), 0);
                    block.write_bytes(7, size);
                    let grown = Allocator.realloc(block, old, new);
                    assert!(!grown.is_null() && grown.addr().is_multiple_of(align), "{old:?}");
                    assert_eq!((*grown, *grown.add(size - 1)), (7, 7));
                    let new = Layout::from_size_align(new, align).unwrap();
                    let other = Allocator.alloc(new);
                    assert!(other.addr().is_multiple_of(align) && other != grown, "{new:?}");
                    Allocator.dealloc(grown, new);
                    Allocator.dealloc(other, new);
                }
            }
        }
    }
}
