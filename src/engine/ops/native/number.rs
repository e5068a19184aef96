//! Which numbers are multiplied? f32 one by one, or bf16 in pairs.
//!
//! A product is told in *words* of four bytes, on both sides: one f32, or two bf16 whose products one
//! instruction adds to a sum. So the same tiles, panels and addresses serve both.

#![expect(
    unsafe_code,
    reason = "instructions that not every processor with these vectors has"
)]

use bytemuck::{Pod, Zeroable};
use half::bf16;

use super::{
    Native,
    simd::{Isa, Kernel},
};

/// A word of the operands of products. Sums are f32 whatever they are.
pub(super) trait Number: Pod + Send + Sync {
    /// Numbers of a word.
    const PER_WORD: usize;

    /// Words, one in each lane.
    type Vector<S: Isa>: Copy;

    /// A word of the first [`Self::PER_WORD`] numbers, rounded.
    fn word(numbers: [f32; 2]) -> Self;

    /// One of a word's numbers.
    fn number(self, place: usize) -> f32;

    /// The numbers in one place of each of some words; of one word, where a word is one number.
    fn gather(words: [Self; 2], place: usize) -> Self;

    /// Runs a kernel whose products are of these numbers.
    fn run(native: &Native, kernel: impl Kernel);

    /// A word in every lane.
    fn splat<S: Isa>(self, simd: S) -> Self::Vector<S>;

    /// sums + left * right in every lane, of all numbers of the words.
    ///
    /// # Safety
    ///
    /// Only in a kernel that [`Self::run`] runs.
    unsafe fn multiply_add<S: Isa>(
        simd: S,
        left: Self::Vector<S>,
        right: Self::Vector<S>,
        sums: S::f32s,
    ) -> S::f32s;

    /// Writes a vector of numbers, rounded, to the words from `at` on.
    ///
    /// # Safety
    ///
    /// As for [`Self::multiply_add`].
    unsafe fn store<S: Isa>(simd: S, words: &mut [Self], at: usize, values: S::f32s);
}

impl Number for f32 {
    const PER_WORD: usize = 1;

    type Vector<S: Isa> = S::f32s;

    fn word([number, _]: [f32; 2]) -> Self {
        number
    }

    fn number(self, _: usize) -> f32 {
        self
    }

    #[inline]
    fn gather([word, _]: [Self; 2], _: usize) -> Self {
        word
    }

    #[inline]
    fn run(native: &Native, kernel: impl Kernel) {
        native.level.run(kernel);
    }

    #[inline(always)]
    fn splat<S: Isa>(self, simd: S) -> S::f32s {
        simd.splat_f32s(self)
    }

    #[inline(always)]
    unsafe fn multiply_add<S: Isa>(
        simd: S,
        left: S::f32s,
        right: S::f32s,
        sums: S::f32s,
    ) -> S::f32s {
        simd.fma(left, right, sums)
    }

    #[inline(always)]
    unsafe fn store<S: Isa>(_: S, words: &mut [Self], at: usize, values: S::f32s) {
        super::simd::store::<S>(words, at, values);
    }
}

/// Two neighbors in bf16, the first one in the low half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(super) struct Pair(u32);

impl Number for Pair {
    const PER_WORD: usize = 2;

    type Vector<S: Isa> = S::u32s;

    fn word(numbers: [f32; 2]) -> Self {
        let [low, high] = numbers.map(|number| u32::from(bf16::from_f32(number).to_bits()));
        Self(high << 16 | low)
    }

    fn number(self, place: usize) -> f32 {
        bf16::from_bits((self.0 >> (16 * place)) as u16).to_f32()
    }

    #[inline]
    fn gather([low, high]: [Self; 2], place: usize) -> Self {
        Self(match place {
            0 => (low.0 & 0xFFFF) | (high.0 << 16),
            _ => (low.0 >> 16) | (high.0 & 0xFFFF_0000),
        })
    }

    #[inline]
    fn run(native: &Native, kernel: impl Kernel) {
        let bf16 = native.bf16.expect("pairs are packed where there is bf16");
        bf16.run(kernel);
    }

    #[inline(always)]
    fn splat<S: Isa>(self, simd: S) -> S::u32s {
        simd.splat_u32s(self.0)
    }

    #[inline(always)]
    unsafe fn multiply_add<S: Isa>(
        simd: S,
        left: S::u32s,
        right: S::u32s,
        sums: S::f32s,
    ) -> S::f32s {
        // SAFETY: the caller's promise.
        unsafe { simd.dot_pairs(left, right, sums) }
    }

    #[inline(always)]
    unsafe fn store<S: Isa>(simd: S, words: &mut [Self], at: usize, values: S::f32s) {
        let words = &mut words[at..][..S::F32_LANES / 2];
        // SAFETY: the caller's promise; as many words as half a vector has lanes.
        unsafe { simd.store_pairs(words.as_mut_ptr().cast(), values) };
    }
}
