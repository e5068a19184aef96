//! Which tiles does Winograd's algorithm work with, and how are they transformed?
//!
//! F(4x4, 3x3) in f32 saves three multiplications of four. In bf16 its error is ten times that of the
//! direct convolution (2.5e-2 of the results' spread): there it is F(2x2, 3x3), which saves five of
//! nine at 1.7 times the error (4.0e-3 in place of 2.3e-3), and whose table is smaller.

use super::super::{
    number::{Number, Pair},
    simd::Isa,
};

/// F(R x R, 3 x 3) from I x I inputs, in products of these words. Transforms are f32.
pub(in super::super) trait Transform<const R: usize, const I: usize>:
    Number
{
    /// Fewest tiles of a picture: with fewer, reading the larger table costs what the products save.
    const MIN_TILES: usize;

    /// Largest table for each position of a picture, in bytes. A table saves time in proportion to the
    /// positions it is used for, whatever its size, and this is what a byte must earn.
    const MAX_TABLE_BYTES_PER_POSITION: usize;

    /// G of the paper: how weights are transformed, along each axis.
    const WEIGHTS: [[f64; 3]; I];

    /// B^T of the paper times a column.
    fn input<S: Isa>(simd: S, d: [S::f32s; I]) -> [S::f32s; I];

    /// A^T of the paper times a column.
    fn output<S: Isa>(simd: S, m: [S::f32s; I]) -> [S::f32s; R];
}

/// Section 4.3 of the paper.
impl Transform<4, 6> for f32 {
    const MIN_TILES: usize = 4;

    const MAX_TABLE_BYTES_PER_POSITION: usize = 64 * 1024;

    const WEIGHTS: [[f64; 3]; 6] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn input<S: Isa>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (two, four, five) = (
            simd.splat_f32s(2.0),
            simd.splat_f32s(4.0),
            simd.splat_f32s(5.0),
        );
        let (minus_four, minus_five) = (simd.neg_f32s(four), simd.neg_f32s(five));
        let first = simd.fma(minus_five, d[2], simd.fma(four, d[0], d[4]));
        let last = simd.fma(minus_five, d[3], simd.fma(four, d[1], d[5]));
        let even = simd.fma(minus_four, d[2], d[4]);
        let odd = simd.fma(minus_four, d[1], d[3]);
        let far = simd.sub_f32s(d[4], d[2]);
        let near = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
        [
            first,
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(far, near),
            simd.sub_f32s(far, near),
            last,
        ]
    }

    #[inline(always)]
    fn output<S: Isa>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (two, four, eight) = (
            simd.splat_f32s(2.0),
            simd.splat_f32s(4.0),
            simd.splat_f32s(8.0),
        );
        let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (far_sum, far_difference) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(simd.add_f32s(m[0], sum), far_sum),
            simd.fma(two, far_difference, difference),
            simd.fma(four, far_sum, sum),
            simd.add_f32s(simd.fma(eight, far_difference, difference), m[5]),
        ]
    }
}

/// Section 4.1 of the paper, in two dimensions.
impl Transform<2, 4> for Pair {
    const MIN_TILES: usize = 4;

    const MAX_TABLE_BYTES_PER_POSITION: usize = 2 * 1024 * 1024;

    const WEIGHTS: [[f64; 3]; 4] = [
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn input<S: Isa>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(d[0], d[2]),
            simd.add_f32s(d[1], d[2]),
            simd.sub_f32s(d[2], d[1]),
            simd.sub_f32s(d[1], d[3]),
        ]
    }

    #[inline(always)]
    fn output<S: Isa>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        [
            simd.add_f32s(simd.add_f32s(m[0], m[1]), m[2]),
            simd.sub_f32s(simd.sub_f32s(m[1], m[2]), m[3]),
        ]
    }
}
