//! Which vector instructions does this processor have? One kernel, compiled for each answer.
//!
//! `pulp` supplies the vectors; measured on 14x32 tiles of a product it is as fast as intrinsics
//! written by hand. A kernel is generic over [`Isa`], and [`Level::run`] enters the copy that the
//! processor can execute. Sums round differently from level to level, never within one.

use std::fmt;
#[cfg(target_arch = "x86_64")]
use std::{
    arch::x86_64::{__m256bh, __m512, __m512bh, _mm512_cvtneps_pbh, _mm512_dpbf16_ps},
    mem::transmute,
};

use pulp::{NullaryFnOnce, Scalar128b, Simd};
#[cfg(target_arch = "x86_64")]
use pulp::{
    f32x16, u32x16,
    x86::{V3, V4},
};

/// Most vectors side by side in a tile of a product.
pub(super) const TILE_VECTORS: usize = 2;

/// An instruction set that kernels are compiled for.
pub(super) trait Isa: Simd {
    /// Rows of a tile, as many as its sums leave registers for the operands.
    const ROWS: usize;

    /// a * b + c, rounded once where the processor can.
    #[inline(always)]
    fn fma(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.mul_add_e_f32s(a, b, c)
    }

    /// Not less than `low`; what is not a number stays so.
    #[inline(always)]
    fn at_least(self, low: f32, x: Self::f32s) -> Self::f32s {
        // The instruction returns the second operand where one is not a number.
        self.max_f32s(self.splat_f32s(low), x)
    }

    /// Not more than `high` and not less than `low`; what is not a number stays so.
    #[inline(always)]
    fn clamp(self, low: f32, x: Self::f32s, high: f32) -> Self::f32s {
        // As with `at_least`.
        self.min_f32s(self.splat_f32s(high), self.at_least(low, x))
    }

    /// sums + the products of the two bf16 of every lane.
    ///
    /// # Safety
    ///
    /// Only in a kernel that [`super::Bf16::run`] runs.
    #[inline(always)]
    #[expect(unsafe_code, reason = "only some processors have the instruction")]
    unsafe fn dot_pairs(self, _: Self::u32s, _: Self::u32s, _: Self::f32s) -> Self::f32s {
        unreachable!("bf16 is multiplied with AVX-512 alone")
    }

    /// Rounds to bf16 and writes half as many words as there are lanes.
    ///
    /// # Safety
    ///
    /// As for [`Self::dot_pairs`]; the words are writable.
    #[inline(always)]
    #[expect(unsafe_code, reason = "only some processors have the instruction")]
    unsafe fn store_pairs(self, _: *mut u32, _: Self::f32s) {
        unreachable!("numbers are rounded to bf16 with AVX-512 alone")
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "only some processors have the instructions")]
impl Isa for V4 {
    const ROWS: usize = 14;

    #[inline(always)]
    unsafe fn dot_pairs(self, left: u32x16, right: u32x16, sums: f32x16) -> f32x16 {
        // SAFETY: the caller's promise; vectors of the same bits.
        unsafe {
            let left = transmute::<u32x16, __m512bh>(left);
            let right = transmute::<u32x16, __m512bh>(right);
            let sums = transmute::<f32x16, __m512>(sums);
            transmute::<__m512, f32x16>(_mm512_dpbf16_ps(sums, left, right))
        }
    }

    #[inline(always)]
    unsafe fn store_pairs(self, output: *mut u32, values: f32x16) {
        // SAFETY: the caller's promise; the result is half a vector.
        unsafe {
            let pairs: __m256bh = _mm512_cvtneps_pbh(transmute::<f32x16, __m512>(values));
            output.cast::<__m256bh>().write_unaligned(pairs);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Isa for V3 {
    const ROWS: usize = 6;
}

impl Isa for Scalar128b {
    const ROWS: usize = 4;

    /// Rounded twice: without the instruction, a single rounding is a slow function call.
    #[inline(always)]
    fn fma(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.add_f32s(self.mul_f32s(a, b), c)
    }

    #[inline(always)]
    fn at_least(self, low: f32, x: Self::f32s) -> Self::f32s {
        let low = self.splat_f32s(low);
        self.select_f32s(self.less_than_f32s(x, low), low, x)
    }

    #[inline(always)]
    fn clamp(self, low: f32, x: Self::f32s, high: f32) -> Self::f32s {
        let (x, high) = (self.at_least(low, x), self.splat_f32s(high));
        self.select_f32s(self.greater_than_f32s(x, high), high, x)
    }
}

/// Work in vectors, for any instruction set.
pub(super) trait Kernel {
    /// Does the work. To be `#[inline(always)]`, like everything it calls with `simd`, or it is not
    /// compiled for the instruction set.
    fn run<S: Isa>(self, simd: S);
}

/// What the processor can execute, found once.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// AVX-512: 16 numbers at once.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    /// AVX2 with fused multiply-add: 8 numbers at once.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// What every processor has.
    Portable,
}

impl Level {
    /// Every level that this processor can execute, the fastest first.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(V4::try_new().map(Self::Avx512));
            levels.extend(V3::try_new().map(Self::Avx2));
        }
        levels.push(Self::Portable);
        levels
    }

    /// The fastest level that this processor can execute.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Numbers of a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => V4::F32_LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => V3::F32_LANES,
            Self::Portable => Scalar128b::F32_LANES,
        }
    }

    /// Rows of a tile.
    pub(super) fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => V4::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => V3::ROWS,
            Self::Portable => Scalar128b::ROWS,
        }
    }

    /// Runs a kernel with this level's instructions.
    #[inline]
    pub(super) fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(Bound { simd, kernel }),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(Bound { simd, kernel }),
            Self::Portable => kernel.run(Scalar128b),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Portable => "portable",
        })
    }
}

/// A kernel with its instruction set. A closure would do, but for the certainty that it is inlined.
struct Bound<S, K> {
    simd: S,
    kernel: K,
}

impl<S: Isa, K: Kernel> NullaryFnOnce for Bound<S, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.kernel.run(self.simd);
    }
}

/// One vector from anywhere in a slice.
#[inline(always)]
#[expect(unsafe_code, reason = "a whole vector, with one check of bounds")]
pub(super) fn load<S: Isa>(values: &[f32], at: usize) -> S::f32s {
    let values = &values[at..at + S::F32_LANES];
    // SAFETY: as many numbers as the vector has lanes; every bit pattern is a vector.
    unsafe { values.as_ptr().cast::<S::f32s>().read_unaligned() }
}

/// Writes one vector to anywhere in a slice.
#[inline(always)]
#[expect(unsafe_code, reason = "a whole vector, with one check of bounds")]
pub(super) fn store<S: Isa>(values: &mut [f32], at: usize, value: S::f32s) {
    let values = &mut values[at..at + S::F32_LANES];
    // SAFETY: as many numbers as the vector has lanes.
    unsafe { values.as_mut_ptr().cast::<S::f32s>().write_unaligned(value) }
}
