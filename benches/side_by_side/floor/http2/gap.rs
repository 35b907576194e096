//! A buffer in which frames become what the upstream gets.

/// What the upstream gets, then a gap, then frames that are still to be read.
pub struct Gap<'a> {
    bytes: &'a mut [u8],
    done: usize,
    next: usize,
    end: usize,
}

impl<'a> Gap<'a> {
    /// The frames are those that `kept` begins and the first `length` bytes continue.
    pub fn new(bytes: &'a mut [u8], length: usize, kept: &[u8]) -> Gap<'a> {
        let mut gap = Gap { bytes, done: 0, next: 0, end: length };
        gap.insert(kept);
        (gap.done, gap.next) = (0, 0);
        gap
    }

    pub fn done(&self) -> usize {
        self.done
    }

    pub fn frames(&self) -> &[u8] {
        &self.bytes[self.next..self.end]
    }

    pub fn skip(&mut self, length: usize) {
        self.next += length;
    }

    /// Passes on the next bytes as they are.
    pub fn pass(&mut self, length: usize) {
        if self.done < self.next {
            self.bytes.copy_within(self.next..self.next + length, self.done);
        }
        self.done += length;
        self.next += length;
    }

    /// Adds to what the upstream gets.
    pub fn insert(&mut self, text: &[u8]) {
        let after = self.done + text.len();
        if self.next < after {
            self.bytes.copy_within(self.next..self.end, after);
            self.end += after - self.next;
            self.next = after;
        }
        self.bytes[self.done..after].copy_from_slice(text);
        self.done = after;
    }
}
