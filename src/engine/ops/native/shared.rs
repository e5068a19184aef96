//! How do the parts of an operation write one tensor at once? Each to numbers of its own.

use std::marker::PhantomData;

/// A slice that several threads write to, every number by one of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    start: *mut f32,
    length: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

#[expect(
    unsafe_code,
    reason = "parts of one operation write interleaved columns of one tensor"
)]
// SAFETY: reading and writing through it is unsafe and asks for numbers that no other thread uses.
unsafe impl Send for Shared<'_> {}

#[expect(
    unsafe_code,
    reason = "parts of one operation write interleaved columns of one tensor"
)]
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            length: values.len(),
            borrow: PhantomData,
        }
    }

    pub(super) fn len(self) -> usize {
        self.length
    }

    pub(super) fn as_mut_ptr(self) -> *mut f32 {
        self.start
    }

    /// Some of the numbers; panics if they are not there.
    ///
    /// # Safety
    ///
    /// Nobody else may read or write them while the result lives.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write interleaved columns of one tensor"
    )]
    pub(super) unsafe fn slice(self, start: usize, length: usize) -> &'a mut [f32] {
        assert!(
            start <= self.length && length <= self.length - start,
            "{length} numbers from {start} on are not in {}",
            self.length
        );
        // SAFETY: in bounds, as just checked; alone, as promised.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}
