//! Does this processor multiply in bf16, and how do numbers become bf16?
//!
//! bf16 is the upper half of an f32: its range, with 8 bits of precision. AVX-512 BF16 adds two
//! products to an f32 sum in one instruction, twice the work of an f32 multiply-add. Everything else
//! stays f32; the left side of a product is rounded in front of it.

#![expect(
    unsafe_code,
    reason = "instructions that not every processor with these vectors has"
)]

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use pulp::x86::V4;

use super::{
    Native,
    memory::Buffer,
    number::{Number, Pair},
    shared::Shared,
    simd::{Isa, Kernel, Level, load},
};

/// The proof that the processor has AVX-512 with BF16.
#[derive(Debug, Clone, Copy)]
pub struct Bf16 {
    #[cfg(target_arch = "x86_64")]
    simd: V4,
    #[cfg(not(target_arch = "x86_64"))]
    never: std::convert::Infallible,
}

#[cfg(target_arch = "x86_64")]
impl Bf16 {
    /// Looks whether the processor has it.
    pub fn detect() -> Option<Self> {
        let simd = V4::try_new()?;
        std::arch::is_x86_feature_detected!("avx512bf16").then_some(Self { simd })
    }

    /// The instructions of everything around the products.
    pub(super) fn level(self) -> Level {
        Level::Avx512(self.simd)
    }

    /// Runs a kernel that may multiply and round in bf16.
    #[inline]
    pub(super) fn run(self, kernel: impl Kernel) {
        // SAFETY: the processor has all of these, or there were no `self`.
        unsafe { enter(self.simd, kernel) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Bf16 {
    /// No other processor's instructions are known.
    pub fn detect() -> Option<Self> {
        None
    }

    pub(super) fn level(self) -> Level {
        match self.never {}
    }

    pub(super) fn run(self, _: impl Kernel) {
        match self.never {}
    }
}

/// Compiles a kernel for what [`V4`] stands for, and BF16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16")]
#[target_feature(enable = "avx,avx2,fma,bmi1,bmi2,lzcnt,popcnt,fxsr")]
unsafe fn enter<K: Kernel>(simd: V4, kernel: K) {
    kernel.run(simd);
}

/// Numbers below which calling another thread costs more than it saves.
const MIN_PARALLEL: usize = 1 << 14;

/// Numbers that a part rounds, about.
const PART: usize = 1 << 13;

/// Some numbers at the start of every row, rounded, two in each word of the result; `length` is even.
pub(super) fn round_rows(
    native: &Native,
    input: &[f32],
    (n_rows, stride, length): (usize, usize, usize),
) -> Buffer {
    assert!(
        length.is_multiple_of(2) && length <= stride && n_rows * stride <= input.len(),
        "whole pairs of each row"
    );
    let mut rounded = native.arena.take(n_rows * length / 2);
    let output = Shared::new(rounded.fill());
    let per_part = (PART / length).max(1);
    let n_parts = n_rows.div_ceil(per_part);
    native.for_parts(n_parts, n_rows * length >= MIN_PARALLEL, |part| {
        let first = part * per_part;
        Pair::run(
            native,
            Round {
                input,
                stride,
                length,
                rows: first..(first + per_part).min(n_rows),
                output,
            },
        );
    });
    rounded
}

/// All numbers of a slice, rounded; as [`round_rows`], in rows of any even length that divides it.
pub(super) fn round(native: &Native, input: &[f32], row: usize) -> Buffer {
    round_rows(native, input, (input.len() / row, row, row))
}

struct Round<'a> {
    input: &'a [f32],
    stride: usize,
    length: usize,
    rows: Range<usize>,
    output: Shared<'a>,
}

impl Kernel for Round<'_> {
    #[inline(always)]
    fn run<S: Isa>(self, simd: S) {
        let lanes = S::F32_LANES;
        for row in self.rows.clone() {
            let input = &self.input[row * self.stride..][..self.length];
            // SAFETY: every part writes rows of its own.
            let output = unsafe { self.output.slice(row * self.length / 2, self.length / 2) };
            let output: &mut [Pair] = bytemuck::cast_slice_mut(output);
            let whole = self.length / lanes * lanes;
            for at in (0..whole).step_by(lanes) {
                // SAFETY: run by `Pair::run`.
                unsafe { Pair::store(simd, output, at / 2, load::<S>(input, at)) };
            }
            for (pair, word) in input[whole..].chunks_exact(2).zip(&mut output[whole / 2..]) {
                *word = Pair::word([pair[0], pair[1]]);
            }
        }
    }
}
